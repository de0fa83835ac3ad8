import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor";
import remoteExecution from "../../../proto/build/bazel/remote/execution/v2/remote_execution.proto" with {
  type: "text",
};
import byteStream from "../../../proto/google/bytestream/bytestream.proto" with { type: "text" };
import errorDetails from "../../../proto/google/rpc/error_details.proto" with { type: "text" };
import status from "../../../proto/google/rpc/status.proto" with { type: "text" };
import health from "../../../proto/grpc/health/v1/health.proto" with { type: "text" };
import reflection from "../../../proto/grpc/reflection/v1/reflection.proto" with { type: "text" };
import reflectionAlpha from "../../../proto/grpc/reflection/v1alpha/reflection.proto" with {
  type: "text",
};

/** Our files, and the well-known types that protobufjs brings, as tools want them: compiled, by name and by symbol. */
export type Descriptors = {
  /** A file with those that it needs, encoded as `google.protobuf.FileDescriptorProto`; null for an unknown one. */
  byFilename(name: string): Uint8Array[] | null;
  /** The same for the file that holds a service, method, message or enum by its full name. */
  bySymbol(name: string): Uint8Array[] | null;
};

const sources = [
  remoteExecution,
  byteStream,
  status,
  errorDetails,
  health,
  reflection,
  reflectionAlpha,
];

/** protobufjs makes one file of each package. Those of Google's own get a name that no tool has a file of its own for. */
const filenames: Readonly<Record<string, string>> = {
  "build.bazel.remote.execution.v2": "build/bazel/remote/execution/v2/remote_execution.proto",
  "google.bytestream": "google/bytestream/bytestream.proto",
  "google.rpc": "google/rpc/status.proto",
  "google.protobuf": "google/protobuf/well_known_types.proto",
  "grpc.health.v1": "grpc/health/v1/health.proto",
  "grpc.reflection.v1": "grpc/reflection/v1/reflection.proto",
  "grpc.reflection.v1alpha": "grpc/reflection/v1alpha/reflection.proto",
};

type File = { readonly dependencies: readonly string[]; readonly bytes: Uint8Array };

export function loadDescriptors(): Descriptors {
  const root = new protobuf.Root();
  for (const source of sources) {
    const parsed = protobuf.parse(source, root, { keepCase: true });
    for (const name of parsed.imports ?? []) {
      const common = protobuf.common.get(name);
      if (common?.nested !== undefined) root.addJSON(common.nested);
    }
  }
  root.resolveAll();
  const files = new Map<string, File>();
  const fileOfSymbol = new Map<string, string>();
  for (const file of root.toDescriptor("proto3").file) {
    const name = filenames[file.package ?? ""];
    if (name === undefined) continue;
    file.name = name;
    const symbols: string[] = [];
    const wanted = new Set<string>();
    look(root, file, { symbols, wanted });
    wanted.delete(name);
    file.dependency = [...wanted];
    const bytes = descriptor.FileDescriptorProto.encode(file).finish();
    files.set(name, { dependencies: [...wanted], bytes });
    for (const symbol of symbols) fileOfSymbol.set(symbol, name);
  }
  const byFilename = (name: string): Uint8Array[] | null => withDependencies(files, name);
  return {
    byFilename,
    bySymbol: (symbol) => byFilename(fileOfSymbol.get(symbol) ?? ""),
  };
}

/** A file comes first, then what it needs. */
function withDependencies(files: ReadonlyMap<string, File>, name: string): Uint8Array[] | null {
  if (!files.has(name)) return null;
  const names = new Set([name]);
  for (const each of names) {
    for (const dependency of files.get(each)?.dependencies ?? []) names.add(dependency);
  }
  return [...names].flatMap((each) => files.get(each)?.bytes ?? []);
}

type Found = { readonly symbols: string[]; readonly wanted: Set<string> };

/** Names by which a file refers to others become full ones; they and what it holds are told. */
function look(
  root: protobuf.Root,
  file: descriptor.IFileDescriptorProto,
  { symbols, wanted }: Found,
): void {
  const want = (type: protobuf.ReflectionObject | null): string => {
    const name = type?.fullName ?? "";
    const filename = fileOf(name);
    if (filename !== null) wanted.add(filename);
    return name;
  };
  const lookAt = (type: descriptor.IDescriptorProto, prefix: string): void => {
    const name = `${prefix}.${type.name}`;
    symbols.push(name, ...(type.enumType ?? []).map((each) => `${name}.${each.name}`));
    const { fields } = root.lookupType(name);
    for (const field of type.field ?? []) {
      const { resolvedType = null } = fields[field.name ?? ""] ?? {};
      if (resolvedType !== null) field.typeName = want(resolvedType);
    }
    for (const nested of type.nestedType ?? []) lookAt(nested, name);
  };
  const prefix = file.package ?? "";
  for (const type of file.messageType ?? []) lookAt(type, prefix);
  for (const each of file.enumType ?? []) symbols.push(`${prefix}.${each.name}`);
  for (const service of file.service ?? []) {
    const name = `${prefix}.${service.name}`;
    symbols.push(name);
    const { methods } = root.lookupService(name);
    for (const method of service.method ?? []) {
      symbols.push(`${name}.${method.name}`);
      const { resolvedRequestType = null, resolvedResponseType = null } =
        methods[method.name ?? ""] ?? {};
      method.inputType = want(resolvedRequestType);
      method.outputType = want(resolvedResponseType);
    }
  }
}

/** The file of a full type name with a dot in front: that of the longest package that it begins with. */
function fileOf(typeName: string): string | null {
  const packages = Object.keys(filenames).filter((name) => typeName.startsWith(`.${name}.`));
  const [longest] = packages.sort((a, b) => b.length - a.length);
  return longest === undefined ? null : (filenames[longest] ?? null);
}

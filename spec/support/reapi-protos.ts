import path from "node:path";
import protobuf from "protobufjs";

const folder = path.resolve(import.meta.dir, "../../proto");

const root = new protobuf.Root();
root.resolvePath = (_origin, target) => {
  return target.startsWith("google/protobuf/") ? target : path.join(folder, target);
};
root.loadSync(
  [
    "build/bazel/remote/execution/v2/remote_execution.proto",
    "google/bytestream/bytestream.proto",
    "google/rpc/status.proto",
    "google/rpc/error_details.proto",
    "grpc/health/v1/health.proto",
  ],
  { keepCase: false },
);

/** A message as protobufjs takes and gives it: the second reader and writer beside the ones of Kura. */
export type Fields = Readonly<Record<string, unknown>>;

/** Encodes by the files in `proto/`; names without a package are those of the Remote Execution API. */
export function encodeProto(name: string, fields: Fields): Uint8Array {
  const type = typeOf(name);
  return type.encode(type.fromObject(fields)).finish();
}

/** Decodes into plain values: numbers for 64-bit fields and enums, bytes as they are, every field present. */
export function decodeProto<T = Fields>(name: string, bytes: Uint8Array): T {
  const type = typeOf(name);
  const options = { longs: Number, enums: Number, defaults: true };
  return type.toObject(type.decode(bytes), options) as T;
}

function typeOf(name: string): protobuf.Type {
  return root.lookupType(name.includes(".") ? name : `build.bazel.remote.execution.v2.${name}`);
}

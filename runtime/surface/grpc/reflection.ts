import type { Call, Incoming, Replies } from "../../wire/grpc/method.ts";
import { grpcCodes } from "../../wire/grpc/status.ts";
import type { Descriptors } from "../../wire/proto/descriptors.ts";
import { WireReader } from "../../wire/proto/wire-reader.ts";
import { WireWriter } from "../../wire/proto/wire-writer.ts";
import { needMessage } from "./requests.ts";

/** The same numbers in v1 and v1alpha. @source grpc/reflection/v1/reflection.proto. */
const requestFields = {
  host: 1,
  fileByFilename: 3,
  fileContainingSymbol: 4,
  fileContainingExtension: 5,
  allExtensionNumbersOfType: 6,
  listServices: 7,
} as const;
const responseFields = {
  validHost: 1,
  originalRequest: 2,
  files: 4,
  services: 6,
  error: 7,
} as const;
const filesFields = { fileDescriptorProto: 1 } as const;
const servicesFields = { service: 1 } as const;
const serviceFields = { name: 1 } as const;
const errorFields = { code: 1, message: 2 } as const;

/** A name of a file or a symbol. */
const nameCharsMax = 1_024;

type Question = {
  readonly bytes: Uint8Array;
  readonly host: string;
  /** Field of the one that was asked; 0 for none. */
  readonly about: number;
  readonly name: string;
};

let descriptors: Promise<Descriptors> | null = null;

/** Loaded for the first who asks: protobufjs and the files cost 50 ms. */
async function load(): Promise<Descriptors> {
  descriptors ??= import("../../wire/proto/descriptors.ts").then(({ loadDescriptors }) =>
    loadDescriptors(),
  );
  return await descriptors;
}

/** Answers each question about what is served, for as long as the client asks. @source grpc.io, Server Reflection. */
export async function reflect(
  services: readonly string[],
  _call: Call,
  incoming: Incoming,
  replies: Replies,
): Promise<void> {
  const known = await load();
  for (let bytes = await incoming.next(); bytes !== null; bytes = await incoming.next()) {
    const question = needMessage(decodeQuestion(bytes), "ServerReflectionRequest");
    await replies.send(answer(question, known, services));
  }
}

function decodeQuestion(bytes: Uint8Array): Question | null {
  const reader = new WireReader(bytes);
  let host = "";
  let about = 0;
  let name = "";
  while (reader.next()) {
    const { field } = reader;
    switch (field) {
      case requestFields.host:
        host = reader.utf8(nameCharsMax);
        break;
      case requestFields.fileByFilename:
      case requestFields.fileContainingSymbol:
      case requestFields.allExtensionNumbersOfType:
      case requestFields.listServices:
        about = field;
        name = reader.utf8(nameCharsMax);
        break;
      case requestFields.fileContainingExtension:
        about = field;
        reader.passOver();
        break;
      default:
        reader.passOver();
    }
  }
  return reader.isBroken ? null : { bytes, host, about, name };
}

function answer(
  { bytes, host, about, name }: Question,
  known: Descriptors,
  services: readonly string[],
): Uint8Array {
  const writer = new WireWriter();
  writer.text(responseFields.validHost, host);
  writer.nested(responseFields.originalRequest, bytes);
  switch (about) {
    case requestFields.listServices:
      writeServices(writer, services);
      break;
    case requestFields.fileByFilename:
      writeFiles(writer, known.byFilename(name), name);
      break;
    case requestFields.fileContainingSymbol:
      writeFiles(writer, known.bySymbol(name), name);
      break;
    case 0:
      writeError(writer, grpcCodes.invalidArgument, "The request asks for nothing");
      break;
    default:
      writeError(writer, grpcCodes.notFound, "There are no extensions here");
  }
  return writer.finish();
}

function writeServices(writer: WireWriter, services: readonly string[]): void {
  const list = writer.begin(responseFields.services);
  for (const service of services) {
    const each = writer.begin(servicesFields.service);
    writer.text(serviceFields.name, service);
    writer.end(each);
  }
  writer.end(list);
}

function writeFiles(writer: WireWriter, files: readonly Uint8Array[] | null, name: string): void {
  if (files === null) {
    writeError(writer, grpcCodes.notFound, `There is no ${name} here`);
    return;
  }
  const list = writer.begin(responseFields.files);
  for (const file of files) writer.bytes(filesFields.fileDescriptorProto, file);
  writer.end(list);
}

function writeError(writer: WireWriter, code: number, message: string): void {
  const error = writer.begin(responseFields.error);
  writer.number(errorFields.code, code);
  writer.text(errorFields.message, message);
  writer.end(error);
}

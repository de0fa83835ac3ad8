import { readDigest, type WireDigest } from "./digest.ts";
import { WireReader } from "./wire-reader.ts";
import { WireWriter } from "./wire-writer.ts";

/** Fields of `ActionResult`, `OutputFile` and `ExecutedActionMetadata`. @source remote_execution.proto, version 2. */
const resultFields = { outputFiles: 2, stdoutRaw: 5, stderrRaw: 7, executionMetadata: 9 } as const;
const fileFields = { path: 1, digest: 2, contents: 5 } as const;
const metadataFields = { worker: 1 } as const;

/** PATH_MAX of Linux. */
const pathBytesMax = 4_096;

/** A file of a result: where its message lies in the bytes of the result. */
export type OutputFile = {
  readonly path: string;
  readonly digest: WireDigest | null;
  readonly hasContents: boolean;
  /** The whole field, tag and length included. */
  readonly startBytes: number;
  readonly endBytes: number;
  readonly message: Uint8Array;
};

/** What of a result may be inlined. Only for bytes that `readActionResult` has accepted. */
export type InlinePlaces = {
  readonly files: readonly OutputFile[];
  readonly hasStdoutRaw: boolean;
  readonly hasStderrRaw: boolean;
};

export function findInlinePlaces(bytes: Uint8Array): InlinePlaces {
  const reader = new WireReader(bytes);
  const files: OutputFile[] = [];
  let hasStdoutRaw = false;
  let hasStderrRaw = false;
  let startBytes = 0;
  while (reader.next()) {
    switch (reader.field) {
      case resultFields.outputFiles: {
        const message = reader.take();
        files.push({ ...readFile(message), message, startBytes, endBytes: reader.atBytes });
        break;
      }
      case resultFields.stdoutRaw:
        hasStdoutRaw = reader.take().length > 0;
        break;
      case resultFields.stderrRaw:
        hasStderrRaw = reader.take().length > 0;
        break;
      default:
        reader.passOver();
    }
    startBytes = reader.atBytes;
  }
  return { files, hasStdoutRaw, hasStderrRaw };
}

function readFile(message: Uint8Array): Pick<OutputFile, "path" | "digest" | "hasContents"> {
  const reader = new WireReader(message);
  let path = "";
  let digest: WireDigest | null = null;
  let hasContents = false;
  while (reader.next()) {
    if (reader.field === fileFields.path) path = reader.utf8(pathBytesMax);
    else if (reader.field === fileFields.digest) digest = readDigest(reader);
    else if (reader.field === fileFields.contents) hasContents = reader.take().length > 0;
    else reader.passOver();
  }
  return { path, digest, hasContents };
}

export type Inlined = {
  readonly stdout: Uint8Array | null;
  readonly stderr: Uint8Array | null;
  /** Contents by file, as `findInlinePlaces` found them. */
  readonly contents: ReadonlyMap<OutputFile, Uint8Array>;
  /** Set for a result that does not say who executed it. @source design.md 4: Buck2 needs it. */
  readonly worker: string | null;
};

/**
 * The result with more in it. Every byte that was there stays: fields that are unknown here, their order, and what the
 * client wrote twice. New fields stand behind the others of their message, as protobuf allows.
 */
export function inlineInto(bytes: Uint8Array, inlined: Inlined): Uint8Array {
  const { stdout, stderr, contents, worker } = inlined;
  const isNothing = stdout === null && stderr === null && worker === null && contents.size === 0;
  if (isNothing) return bytes;
  const parts: Uint8Array[] = [];
  let atBytes = 0;
  for (const [file, body] of contents) {
    parts.push(bytes.subarray(atBytes, file.startBytes), fileWith(file.message, body));
    atBytes = file.endBytes;
  }
  parts.push(bytes.subarray(atBytes), tailOf({ stdout, stderr, worker }));
  return parts.length === 2 && parts[1]?.length === 0 ? bytes : Buffer.concat(parts);
}

function fileWith(message: Uint8Array, body: Uint8Array): Uint8Array {
  const contents = new WireWriter(body.length + 16);
  contents.bytes(fileFields.contents, body);
  const file = new WireWriter(message.length + body.length + 32);
  file.nested(resultFields.outputFiles, Buffer.concat([message, contents.finish()]));
  return file.finish();
}

function tailOf({ stdout, stderr, worker }: Omit<Inlined, "contents">): Uint8Array {
  const writer = new WireWriter((stdout?.length ?? 0) + (stderr?.length ?? 0) + 64);
  if (stdout !== null) writer.bytes(resultFields.stdoutRaw, stdout);
  if (stderr !== null) writer.bytes(resultFields.stderrRaw, stderr);
  if (worker !== null) {
    const metadata = writer.begin(resultFields.executionMetadata);
    writer.text(metadataFields.worker, worker);
    writer.end(metadata);
  }
  return writer.finish();
}

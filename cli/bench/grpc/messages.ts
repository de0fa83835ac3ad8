import { messagePrefix } from "../../../runtime/wire/grpc/message-reader.ts";
import {
  type RawDigest,
  readRawDigest,
  writeRawDigest,
} from "../../../runtime/wire/proto/raw-digest.ts";
import { WireReader } from "../../../runtime/wire/proto/wire-reader.ts";
import { WireWriter } from "../../../runtime/wire/proto/wire-writer.ts";

/**
 * The client's side of the messages: requests as they go over the wire, prefix and all, and what a load has to know of
 * the answers. @source remote_execution.proto and bytestream.proto; field numbers stand beside their names.
 */

const getResultFields = { instanceName: 1, actionDigest: 2 } as const;
const updateResultFields = { instanceName: 1, actionDigest: 2, actionResult: 3 } as const;
const resultFields = { outputFiles: 2, executionMetadata: 9 } as const;
const outputFileFields = { path: 1, digest: 2 } as const;
const metadataFields = { worker: 1 } as const;
const findMissingFields = { instanceName: 1, blobDigests: 2 } as const;
const batchReadFields = { instanceName: 1, digests: 2 } as const;
const batchUpdateFields = { instanceName: 1, requests: 2 } as const;
const batchUpdateItemFields = { digest: 1, data: 2 } as const;
const batchAnswerFields = { responses: 1 } as const;
const readFields = { resourceName: 1 } as const;
const writeFields = { resourceName: 1, writeOffset: 2, finishWrite: 3, data: 10 } as const;
const writeAnswerFields = { committedSize: 1 } as const;

/** A message with what stands before it in a stream. */
export function framed(message: Uint8Array): Buffer {
  return Buffer.concat([messagePrefix(message.length), message]);
}

export function encodeGetActionResult(instanceName: string, action: RawDigest): Uint8Array {
  const writer = new WireWriter();
  writer.text(getResultFields.instanceName, instanceName);
  writeRawDigest(writer, getResultFields.actionDigest, action);
  return writer.finish();
}

/** A result with output files under paths as Bazel has them; with metadata, so that no server adds its own. */
export function encodeActionResult(files: readonly RawDigest[]): Uint8Array {
  const writer = new WireWriter();
  for (const [place, digest] of files.entries()) {
    const file = writer.begin(resultFields.outputFiles);
    writer.text(
      outputFileFields.path,
      `bazel-out/k8-fastbuild/bin/pkg/_objs/lib/file-${place}.pic.o`,
    );
    writeRawDigest(writer, outputFileFields.digest, digest);
    writer.end(file);
  }
  const metadata = writer.begin(resultFields.executionMetadata);
  writer.text(metadataFields.worker, "bench");
  writer.end(metadata);
  return writer.finish();
}

export function encodeUpdateActionResult(
  instanceName: string,
  action: RawDigest,
  result: Uint8Array,
): Uint8Array {
  const writer = new WireWriter(result.length + 256);
  writer.text(updateResultFields.instanceName, instanceName);
  writeRawDigest(writer, updateResultFields.actionDigest, action);
  writer.nested(updateResultFields.actionResult, result);
  return writer.finish();
}

export function encodeFindMissing(instanceName: string, digests: readonly RawDigest[]): Uint8Array {
  const writer = new WireWriter();
  writer.text(findMissingFields.instanceName, instanceName);
  for (const digest of digests) writeRawDigest(writer, findMissingFields.blobDigests, digest);
  return writer.finish();
}

export function encodeBatchRead(instanceName: string, digest: RawDigest): Uint8Array {
  const writer = new WireWriter();
  writer.text(batchReadFields.instanceName, instanceName);
  writeRawDigest(writer, batchReadFields.digests, digest);
  return writer.finish();
}

/** One blob. Its bytes are the last of the message. */
export function encodeBatchUpdate(
  instanceName: string,
  digest: RawDigest,
  data: Uint8Array,
): Uint8Array {
  const writer = new WireWriter(data.length + 256);
  writer.text(batchUpdateFields.instanceName, instanceName);
  const item = writer.begin(batchUpdateFields.requests);
  writeRawDigest(writer, batchUpdateItemFields.digest, digest);
  writer.bytes(batchUpdateItemFields.data, data);
  writer.end(item);
  return writer.finish();
}

export function encodeRead(resourceName: string): Uint8Array {
  const writer = new WireWriter();
  writer.text(readFields.resourceName, resourceName);
  return writer.finish();
}

/** A message of a write up to its data: prefix, fields, and the length of the data that must follow. */
export function writeHead(part: {
  readonly resourceName: string;
  readonly offsetBytes: number;
  readonly dataBytes: number;
  readonly isLast: boolean;
}): Buffer {
  const writer = new WireWriter();
  writer.text(writeFields.resourceName, part.resourceName);
  writer.number(writeFields.writeOffset, part.offsetBytes);
  writer.flag(writeFields.finishWrite, part.isLast);
  // A tag with a length, and no bytes yet.
  writer.number(writeFields.data, part.dataBytes);
  const fields = writer.finish();
  fields[fields.length - varintBytes(part.dataBytes) - 1] = writeFields.data * 8 + 2;
  return Buffer.concat([messagePrefix(fields.length + part.dataBytes), fields]);
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) count += 1;
  return count;
}

/** The committed size of a write; null when the bytes are no such message. */
export function decodeCommittedSize(bytes: Uint8Array): number | null {
  const reader = new WireReader(bytes);
  let committedBytes = 0;
  while (reader.next()) {
    if (reader.field === writeAnswerFields.committedSize) committedBytes = reader.signed();
    else reader.passOver();
  }
  return reader.isBroken ? null : committedBytes;
}

export type BatchItem = {
  readonly digest: RawDigest | null;
  readonly statusCode: number;
  readonly data: Uint8Array;
};

/** Fields of `BatchReadBlobsResponse.Response` and, where data is the status, of `BatchUpdateBlobsResponse.Response`. */
export type BatchItemFields = {
  readonly digest: number;
  readonly status: number;
  readonly data: number | null;
};
export const batchReadItemFields: BatchItemFields = { digest: 1, data: 2, status: 3 };
export const batchUpdatedItemFields: BatchItemFields = { digest: 1, data: null, status: 2 };
const statusFields = { code: 1 } as const;
const noBytes = new Uint8Array(0);

/** The answers to a batch; null when the bytes are none. */
export function decodeBatchAnswer(bytes: Uint8Array, fields: BatchItemFields): BatchItem[] | null {
  const reader = new WireReader(bytes);
  const items: BatchItem[] = [];
  while (reader.next()) {
    if (reader.field === batchAnswerFields.responses) items.push(readItem(reader, fields));
    else reader.passOver();
  }
  return reader.isBroken ? null : items;
}

function readItem(reader: WireReader, fields: BatchItemFields): BatchItem {
  let digest: RawDigest | null = null;
  let statusCode = 0;
  let data: Uint8Array = noBytes;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === fields.digest) digest = readRawDigest(reader);
    else if (reader.field === fields.status) statusCode = readCode(reader);
    else if (reader.field === fields.data) data = reader.take();
    else reader.passOver();
  }
  reader.leave(outer);
  return { digest, statusCode, data };
}

function readCode(reader: WireReader): number {
  let code = 0;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === statusFields.code) code = reader.number();
    else reader.passOver();
  }
  reader.leave(outer);
  return code;
}

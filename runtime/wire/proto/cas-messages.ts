import { type GrpcStatus, writeStatus } from "../grpc/status.ts";
import { type RawDigest, readRawDigest, writeRawDigest } from "./raw-digest.ts";
import { WireReader } from "./wire-reader.ts";
import { WireWriter } from "./wire-writer.ts";

/**
 * Messages of the `ContentAddressableStorage` service, as far as a cache needs them. Decoders return null for bytes
 * that are no such message and never throw; byte fields are views of what was decoded.
 * @source remote_execution.proto, version 2.
 */

/** Longer than any instance name that is accepted. */
export const instanceBytesMax = 4_096;

/** As many digests of SHA-1 as a message of 16 MiB holds; empty ones, of two bytes, would be eight million. */
const itemsMax = 360_000;

export type FindMissingRequest = {
  readonly instanceName: string;
  readonly digests: readonly RawDigest[];
  readonly digestFunction: number;
};

const findFields = { instanceName: 1, blobDigests: 2, digestFunction: 3 } as const;
const missingFields = { missingBlobDigests: 2 } as const;

export function decodeFindMissing(bytes: Uint8Array): FindMissingRequest | null {
  const reader = new WireReader(bytes);
  const digests: RawDigest[] = [];
  let instanceName = "";
  let digestFunction = 0;
  while (reader.next()) {
    switch (reader.field) {
      case findFields.blobDigests:
        if (digests.length === itemsMax) reader.breakOff();
        digests.push(readRawDigest(reader));
        break;
      case findFields.instanceName:
        instanceName = reader.utf8(instanceBytesMax);
        break;
      case findFields.digestFunction:
        digestFunction = reader.number();
        break;
      default:
        reader.passOver();
    }
  }
  return reader.isBroken ? null : { instanceName, digests, digestFunction };
}

export function encodeMissing(missing: readonly RawDigest[]): Uint8Array {
  const writer = new WireWriter();
  for (const digest of missing) writeRawDigest(writer, missingFields.missingBlobDigests, digest);
  return writer.finish();
}

/** @source remote_execution.proto, `Compressor.Value`. */
export const compressors = { identity: 0, zstd: 1 } as const;

export type BatchUpdateItem = {
  /** Null when the item has none. */
  readonly digest: RawDigest | null;
  readonly data: Uint8Array;
  readonly compressor: number;
};
export type BatchUpdateRequest = {
  readonly instanceName: string;
  readonly items: readonly BatchUpdateItem[];
  readonly digestFunction: number;
};

const updateFields = { instanceName: 1, requests: 2, digestFunction: 5 } as const;
const itemFields = { digest: 1, data: 2, compressor: 3 } as const;
const updatedFields = { responses: 1 } as const;
const updatedItemFields = { digest: 1, status: 2 } as const;

export function decodeBatchUpdate(bytes: Uint8Array): BatchUpdateRequest | null {
  const reader = new WireReader(bytes);
  const items: BatchUpdateItem[] = [];
  let instanceName = "";
  let digestFunction = 0;
  while (reader.next()) {
    switch (reader.field) {
      case updateFields.requests:
        if (items.length === itemsMax) reader.breakOff();
        items.push(readItem(reader));
        break;
      case updateFields.instanceName:
        instanceName = reader.utf8(instanceBytesMax);
        break;
      case updateFields.digestFunction:
        digestFunction = reader.number();
        break;
      default:
        reader.passOver();
    }
  }
  return reader.isBroken ? null : { instanceName, items, digestFunction };
}

const noBytes = new Uint8Array(0);

function readItem(reader: WireReader): BatchUpdateItem {
  let digest: RawDigest | null = null;
  let data: Uint8Array = noBytes;
  let compressor = 0;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === itemFields.digest) digest = readRawDigest(reader);
    else if (reader.field === itemFields.data) data = reader.take();
    else if (reader.field === itemFields.compressor) compressor = reader.number();
    else reader.passOver();
  }
  reader.leave(outer);
  return { digest, data, compressor };
}

export type BatchUpdated = { readonly digest: RawDigest | null; readonly status: GrpcStatus };

export function encodeBatchUpdated(items: readonly BatchUpdated[]): Uint8Array {
  const writer = new WireWriter();
  for (const { digest, status } of items) {
    const item = writer.begin(updatedFields.responses);
    if (digest !== null) writeRawDigest(writer, updatedItemFields.digest, digest);
    const place = writer.begin(updatedItemFields.status);
    writeStatus(writer, status);
    writer.end(place);
    writer.end(item);
  }
  return writer.finish();
}

export type BatchReadRequest = {
  readonly instanceName: string;
  readonly digests: readonly RawDigest[];
  readonly acceptableCompressors: readonly number[];
  readonly digestFunction: number;
};

const readFields = {
  instanceName: 1,
  digests: 2,
  acceptableCompressors: 3,
  digestFunction: 4,
} as const;
const blobFields = { responses: 1 } as const;
const blobItemFields = { digest: 1, data: 2, status: 3, compressor: 4 } as const;

export function decodeBatchRead(bytes: Uint8Array): BatchReadRequest | null {
  const reader = new WireReader(bytes);
  const digests: RawDigest[] = [];
  const acceptableCompressors: number[] = [];
  let instanceName = "";
  let digestFunction = 0;
  while (reader.next()) {
    switch (reader.field) {
      case readFields.digests:
        if (digests.length === itemsMax) reader.breakOff();
        digests.push(readRawDigest(reader));
        break;
      case readFields.instanceName:
        instanceName = reader.utf8(instanceBytesMax);
        break;
      case readFields.acceptableCompressors:
        reader.numbers(acceptableCompressors);
        break;
      case readFields.digestFunction:
        digestFunction = reader.number();
        break;
      default:
        reader.passOver();
    }
  }
  if (reader.isBroken) return null;
  return { instanceName, digests, acceptableCompressors, digestFunction };
}

/** Writes one answer of `BatchReadBlobsResponse` behind those that are there. */
export function writeBlob(
  writer: WireWriter,
  blob: {
    readonly digest: RawDigest;
    readonly data: Uint8Array;
    readonly status: GrpcStatus;
    readonly compressor: number;
  },
): void {
  const item = writer.begin(blobFields.responses);
  writeRawDigest(writer, blobItemFields.digest, blob.digest);
  writer.bytes(blobItemFields.data, blob.data);
  const status = writer.begin(blobItemFields.status);
  writeStatus(writer, blob.status);
  writer.end(status);
  writer.number(blobItemFields.compressor, blob.compressor);
  writer.end(item);
}

export type GetTreeRequest = {
  readonly instanceName: string;
  readonly rootDigest: RawDigest | null;
  readonly pageSize: number;
  readonly pageToken: string;
  readonly digestFunction: number;
};

const treeFields = {
  instanceName: 1,
  rootDigest: 2,
  pageSize: 3,
  pageToken: 4,
  digestFunction: 5,
} as const;
const pageFields = { directories: 1, nextPageToken: 2 } as const;
const pageTokenBytesMax = 1_024;

export function decodeGetTree(bytes: Uint8Array): GetTreeRequest | null {
  const reader = new WireReader(bytes);
  let rootDigest: RawDigest | null = null;
  let instanceName = "";
  let pageToken = "";
  let pageSize = 0;
  let digestFunction = 0;
  while (reader.next()) {
    switch (reader.field) {
      case treeFields.instanceName:
        instanceName = reader.utf8(instanceBytesMax);
        break;
      case treeFields.rootDigest:
        rootDigest = readRawDigest(reader);
        break;
      case treeFields.pageSize:
        pageSize = reader.number();
        break;
      case treeFields.pageToken:
        pageToken = reader.utf8(pageTokenBytesMax);
        break;
      case treeFields.digestFunction:
        digestFunction = reader.number();
        break;
      default:
        reader.passOver();
    }
  }
  if (reader.isBroken) return null;
  return { instanceName, rootDigest, pageSize, pageToken, digestFunction };
}

/** One message of the answer to `GetTree`: stored `Directory` messages as they are. */
export function encodeTreePage(
  directories: readonly Uint8Array[],
  nextPageToken: string,
): Uint8Array {
  const writer = new WireWriter(directories.reduce((sum, bytes) => sum + bytes.length + 16, 64));
  for (const bytes of directories) writer.nested(pageFields.directories, bytes);
  writer.text(pageFields.nextPageToken, nextPageToken);
  return writer.finish();
}

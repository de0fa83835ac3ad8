import { WireReader } from "./wire-reader.ts";
import { WireWriter } from "./wire-writer.ts";

/**
 * Messages of `google.bytestream.ByteStream`. Decoders return null for bytes that are no such message and never throw;
 * `data` is a view of what was decoded.
 * @source google/bytestream/bytestream.proto.
 */

/** A resource name is an instance, a UUID, a hash and a size. */
const resourceBytesMax = 8_192;

export type ReadRequest = {
  readonly resourceName: string;
  readonly readOffset: number;
  readonly readLimit: number;
};

const readFields = { resourceName: 1, readOffset: 2, readLimit: 3 } as const;
const readResponseFields = { data: 10 } as const;

/** Negative numbers come as -1: that they are negative is all that matters. */
export function decodeRead(bytes: Uint8Array): ReadRequest | null {
  const reader = new WireReader(bytes);
  let resourceName = "";
  let readOffset = 0;
  let readLimit = 0;
  while (reader.next()) {
    if (reader.field === readFields.resourceName) resourceName = reader.utf8(resourceBytesMax);
    else if (reader.field === readFields.readOffset) readOffset = reader.signed();
    else if (reader.field === readFields.readLimit) readLimit = reader.signed();
    else reader.passOver();
  }
  return reader.isBroken ? null : { resourceName, readOffset, readLimit };
}

export function encodeReadResponse(data: Uint8Array): Uint8Array {
  const writer = new WireWriter(data.length + 16);
  writer.bytes(readResponseFields.data, data);
  return writer.finish();
}

/**
 * Writes what a `ReadResponse` says before so many bytes of data, into the room that ends at `endBytes`, which takes at
 * most six bytes. Returns where it begins.
 */
export function writeReadResponseHead(buffer: Buffer, endBytes: number, dataBytes: number): number {
  let varintBytes = 1;
  for (let rest = dataBytes; rest >= 0x80; rest = Math.floor(rest / 0x80)) varintBytes += 1;
  const startBytes = endBytes - varintBytes - 1;
  buffer[startBytes] = readResponseFields.data * 8 + 2;
  let rest = dataBytes;
  for (let at = startBytes + 1; at < endBytes - 1; at++) {
    buffer[at] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  buffer[endBytes - 1] = rest;
  return startBytes;
}

export type WriteRequest = {
  readonly resourceName: string;
  readonly writeOffset: number;
  readonly finishWrite: boolean;
  readonly data: Uint8Array;
};

const writeFields = { resourceName: 1, writeOffset: 2, finishWrite: 3, data: 10 } as const;
const writeResponseFields = { committedSize: 1 } as const;
const noBytes = new Uint8Array(0);

export function decodeWrite(bytes: Uint8Array): WriteRequest | null {
  const reader = new WireReader(bytes);
  let resourceName = "";
  let writeOffset = 0;
  let finishWrite = false;
  let data: Uint8Array = noBytes;
  while (reader.next()) {
    switch (reader.field) {
      case writeFields.resourceName:
        resourceName = reader.utf8(resourceBytesMax);
        break;
      case writeFields.writeOffset:
        writeOffset = reader.signed();
        break;
      case writeFields.finishWrite:
        finishWrite = reader.number() !== 0;
        break;
      case writeFields.data:
        data = reader.take();
        break;
      default:
        reader.passOver();
    }
  }
  return reader.isBroken ? null : { resourceName, writeOffset, finishWrite, data };
}

/** `committedSize` is -1 for a compressed upload that ended early because the blob is here already. */
export function encodeWriteResponse(committedSize: number): Uint8Array {
  const writer = new WireWriter();
  writer.number(writeResponseFields.committedSize, committedSize);
  return writer.finish();
}

const queryFields = { resourceName: 1 } as const;
const queryResponseFields = { committedSize: 1, complete: 2 } as const;

/** The resource name of a `QueryWriteStatusRequest`. */
export function decodeQueryWriteStatus(bytes: Uint8Array): string | null {
  const reader = new WireReader(bytes);
  let resourceName = "";
  while (reader.next()) {
    if (reader.field === queryFields.resourceName) resourceName = reader.utf8(resourceBytesMax);
    else reader.passOver();
  }
  return reader.isBroken ? null : resourceName;
}

export function encodeWriteStatus(committedSize: number, isComplete: boolean): Uint8Array {
  const writer = new WireWriter();
  writer.number(queryResponseFields.committedSize, committedSize);
  writer.flag(queryResponseFields.complete, isComplete);
  return writer.finish();
}

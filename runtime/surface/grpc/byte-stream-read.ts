import { Fault } from "../../base/fault.ts";
import { reapiBlob } from "../../catalog/kinds.ts";
import type { Slice } from "../../catalog/whole-body.ts";
import type { Manifest } from "../../store/store.ts";
import type { Call, Replies } from "../../wire/grpc/method.ts";
import { GrpcFailure } from "../../wire/grpc/status.ts";
import {
  decodeRead,
  encodeReadResponse,
  writeReadResponseHead,
} from "../../wire/proto/byte-stream-messages.ts";
import type { WireDigest } from "../../wire/proto/digest.ts";
import { resultOf } from "../http/upload.ts";
import { findBlob, isEmpty } from "./blobs.ts";
import { countRead } from "./counts.ts";
import { scopeOf } from "./instance.ts";
import { coderWaitMsMax } from "./limits.ts";
import { headRoomBytes } from "./read-buffers.ts";
import { bad, needMessage, takeFor } from "./requests.ts";
import { parseResource, type Resource } from "./resource-name.ts";
import type { GrpcSurface } from "./surface.ts";
import { compress } from "./zstd.ts";
import { Compressor, encoderBytes } from "./zstd-encoder.ts";

const noBytes = new Uint8Array(0);

/** A body is opened again after its check, and can be unchecked once more when it was replaced meanwhile. */
const opensMax = 4;

/** Sends a blob, or the part of it that was asked for. */
export async function readByteStream(
  surface: GrpcSurface,
  call: Call,
  request: Uint8Array,
  replies: Replies,
): Promise<void> {
  const message = needMessage(decodeRead(request), "ReadRequest");
  const resource = parseResource(message.resourceName);
  const { startBytes, endBytes } = rangeOf(resource, message.readOffset, message.readLimit);
  const scope = scopeOf(surface, resource.instanceName);
  if (isEmpty(resource.digest)) {
    if (resource.compressor === "zstd") await replies.send(encodeReadResponse(compress(noBytes)));
    return;
  }
  try {
    const manifest = findBlob(surface, scope, resource.digest);
    if (manifest === null) throw missing(resource.digest);
    const way = { surface, call, replies };
    const range = { startBytes, endBytes };
    if (startBytes === endBytes) await sendNothing(way, resource);
    else if (resource.compressor === "zstd") await sendCompressed(way, manifest, range, resource);
    else await sendRange(way, manifest, range, resource.digest);
    countRead(surface, call, { kind: reapiBlob, result: "ok", bytes: endBytes - startBytes });
  } catch (error) {
    const result = error instanceof GrpcFailure ? "rejected" : resultOf(error);
    countRead(surface, call, { kind: reapiBlob, result, bytes: 0 });
    throw error;
  }
}

type Range = { readonly startBytes: number; readonly endBytes: number };

function rangeOf({ digest, compressor }: Resource, offset: number, limit: number): Range {
  const { sizeBytes } = digest;
  if (offset < 0 || offset > sizeBytes) {
    throw new Fault(
      "rangeInvalid",
      `Cannot read from byte ${offset < 0 ? "a negative number" : offset} on: the blob has ${sizeBytes} bytes`,
    );
  }
  if (limit !== 0 && compressor === "zstd") {
    throw bad("Cannot cut a compressed blob: read_limit is 0 for it");
  }
  if (limit < 0) throw bad("Cannot read a negative number of bytes: read_limit is 0 for all");
  return {
    startBytes: offset,
    endBytes: limit === 0 ? sizeBytes : Math.min(sizeBytes, offset + limit),
  };
}

function missing({ hash, sizeBytes }: WireDigest): Fault {
  return new Fault("missing", `There is no blob ${hash}/${sizeBytes} in this instance`);
}

type Way = {
  readonly surface: GrpcSurface;
  readonly call: Call;
  readonly replies: Replies;
  /** What becomes of the bytes of a piece; a message of their own unless told. */
  readonly form?: (piece: Uint8Array) => Uint8Array;
};

async function sendRange(
  way: Way,
  manifest: Manifest,
  { startBytes, endBytes }: Range,
  digest: WireDigest,
): Promise<void> {
  const { surface, replies, form = encodeReadResponse } = way;
  for (let opens = 0; opens < opensMax; opens++) {
    const body = surface.store().open(manifest, startBytes, endBytes);
    switch (body.at) {
      case "bytes":
        return await replies.send(form(body.bytes));
      case "slice":
        return await sendSlice(way, body, digest);
      case "check":
        await body.done;
        break;
      case "damaged":
        throw missing(digest);
    }
  }
  throw missing(digest);
}

/** The end of a blob is an empty stream, or an empty frame. */
async function sendNothing({ replies }: Way, { compressor }: Resource): Promise<void> {
  if (compressor === "zstd") await replies.send(encodeReadResponse(compress(noBytes)));
}

/** Everything that `sendRange` would send goes through the compressor, no faster than the client takes what it gives. */
async function sendCompressed(
  way: Way,
  manifest: Manifest,
  range: Range,
  { digest }: Resource,
): Promise<void> {
  const { coders } = way.surface;
  await takeFor(way.call, coders, { bytes: encoderBytes, withinMs: coderWaitMsMax });
  try {
    using compressor = new Compressor(async (piece) => {
      await way.replies.send(encodeReadResponse(piece));
    });
    const replies: Replies = { send: (message) => compressor.push(message) };
    await sendRange({ ...way, replies, form: (piece) => piece }, manifest, range, digest);
    await compressor.end();
  } finally {
    coders.give(encoderBytes);
  }
}

async function sendSlice(way: Way, slice: Slice, digest: WireDigest): Promise<void> {
  const { files, buffers } = way.surface;
  const lent = await files.lend(slice.path, way.call);
  if (lent === null) throw missing(digest);
  let isSent = false;
  try {
    const buffer = buffers.take(slice.endBytes - slice.startBytes);
    try {
      await sendPieces(way, { slice, file: lent.file, buffer });
      isSent = true;
    } finally {
      buffers.giveBack(buffer, isSent);
    }
  } finally {
    lent.close();
  }
}

type Source = {
  readonly slice: Slice;
  readonly file: { read(into: Uint8Array, at: number): number };
  readonly buffer: Buffer;
};

/** Each piece is read behind room for the head of its message, so that both go out without a copy. */
async function sendPieces(way: Way, { slice, file, buffer }: Source): Promise<void> {
  const { call, replies, form } = way;
  const pieceBytes = buffer.length - headRoomBytes;
  for (let at = slice.startBytes; at < slice.endBytes; at += pieceBytes) {
    if (call.signal.aborted) throw new Fault("clientClosed", "The client is gone");
    const endBytes = headRoomBytes + Math.min(pieceBytes, slice.endBytes - at);
    const piece = buffer.subarray(headRoomBytes, endBytes);
    if (file.read(piece, at) !== piece.length) {
      throw new Fault("internal", `Cannot read ${slice.path}: it is shorter than it was`);
    }
    if (form !== undefined) {
      await replies.send(form(piece));
      continue;
    }
    const startBytes = writeReadResponseHead(buffer, headRoomBytes, piece.length);
    await replies.send(buffer.subarray(startBytes, endBytes));
  }
}

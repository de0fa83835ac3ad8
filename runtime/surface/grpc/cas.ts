import { type DigestFunction, digestOf, functionOfHash } from "../../base/digest-function.ts";
import { asFault, Fault } from "../../base/fault.ts";
import { nextTurn } from "../../base/turns.ts";
import { MiB } from "../../base/units.ts";
import { reapiBlob } from "../../catalog/kinds.ts";
import { nameBlob } from "../../catalog/reapi.ts";
import { readWholeBody } from "../../catalog/whole-body.ts";
import type { Scope } from "../../store/identity.ts";
import type { Call } from "../../wire/grpc/method.ts";
import { GrpcFailure, type GrpcStatus, grpcCodes } from "../../wire/grpc/status.ts";
import {
  type BatchUpdated,
  type BatchUpdateItem,
  compressors,
  decodeBatchRead,
  decodeBatchUpdate,
  decodeFindMissing,
  encodeBatchUpdated,
  encodeMissing,
  writeBlob,
} from "../../wire/proto/cas-messages.ts";
import type { WireDigest } from "../../wire/proto/digest.ts";
import type { RawDigest } from "../../wire/proto/raw-digest.ts";
import { WireWriter } from "../../wire/proto/wire-writer.ts";
import { resultOf } from "../http/upload.ts";
import { bodyDeps, commitBlob, findBlob, isEmpty, vouchForBlob } from "./blobs.ts";
import { countRead, countWrite } from "./counts.ts";
import { checkRawDigest, functionOfNumber, needDigest } from "./digests.ts";
import { statusOf } from "./errors.ts";
import { scopeOf } from "./instance.ts";
import { batchBytesMax, peerMessageBytesMax } from "./limits.ts";
import { needMessage, takeFor } from "./requests.ts";
import type { GrpcSurface } from "./surface.ts";
import { compress, compressedBytesMin, decompress } from "./zstd.ts";

const okStatus: GrpcStatus = { code: grpcCodes.ok, message: "", retryAfterMs: null };
const noBytes = new Uint8Array(0);

/** Look-ups between two turns of the loop: 2 ms when each of them is a statement. */
const lookUpsPerTurn = 256;

/** The digests that are not here, in the order and as often as they were asked for. */
export async function findMissingBlobs(
  surface: GrpcSurface,
  request: Uint8Array,
): Promise<Uint8Array> {
  const message = needMessage(decodeFindMissing(request), "FindMissingBlobsRequest");
  const scope = scopeOf(surface, message.instanceName);
  const wanted = functionOfNumber(message.digestFunction);
  const missing: RawDigest[] = [];
  let lookUps = 0;
  for (const raw of message.digests) {
    const digest = checkRawDigest(raw, wanted);
    if (!isEmpty(digest) && !vouchForBlob(surface, scope, digest)) missing.push(digest);
    if (++lookUps % lookUpsPerTurn === 0) await nextTurn();
  }
  return encodeMissing(missing);
}

/** Stores each blob by itself; those that fail have a status of their own. */
export async function batchUpdateBlobs(
  surface: GrpcSurface,
  call: Call,
  request: Uint8Array,
): Promise<Uint8Array> {
  const message = needMessage(decodeBatchUpdate(request), "BatchUpdateBlobsRequest");
  const scope = scopeOf(surface, message.instanceName);
  const wanted = functionOfNumber(message.digestFunction);
  const totalBytes = message.items.reduce((sum, { data }) => sum + data.length, 0);
  checkBatch(totalBytes);
  const plainBytes = message.items.reduce((sum, item) => sum + decodedBytes(item), 0);
  checkDecoded(plainBytes);
  const { budget, status } = surface;
  status.memory.admitWrite();
  // A budget that is smaller than a batch lets one in at a time.
  const heldBytes = Math.min(totalBytes + plainBytes, budget.limitBytes);
  await takeFor(call, budget, { bytes: heldBytes, withinMs: batchWaitMsMax });
  try {
    const place = { surface, call, scope };
    const running: Promise<BatchUpdated>[] = [];
    let untilTurnBytes = decodedPerTurnBytes;
    for (const item of message.items) {
      const updated = updateOne(place, wanted, item);
      // Waited for below, with all the others.
      updated.catch(() => {});
      running.push(updated);
      untilTurnBytes -= decodedBytes(item);
      if (untilTurnBytes > 0) continue;
      untilTurnBytes = decodedPerTurnBytes;
      await nextTurn();
    }
    return encodeBatchUpdated(await Promise.all(running));
  } finally {
    budget.give(heldBytes);
  }
}

async function updateOne(
  place: Place,
  wanted: DigestFunction | null,
  item: BatchUpdateItem,
): Promise<BatchUpdated> {
  const status = await attempt(place.surface, async () => {
    const digest = needDigest(item.digest, wanted, "digest of a blob");
    await updateBlob(place, digest, item);
  });
  return { digest: item.digest, status };
}

/** What an item comes to beside its own bytes. One that says too much is refused by itself, and decodes to nothing. */
function decodedBytes({ compressor, digest }: BatchUpdateItem): number {
  if (compressor !== compressors.zstd || digest === null) return 0;
  return digest.sizeBytes <= batchBytesMax ? digest.sizeBytes : 0;
}

/** Clients count blobs, not what goes over the wire; four batches leave room for those that count the other way. */
const decodedBytesMax = 4 * batchBytesMax;
/** Decoding of so much takes 2 ms. */
const decodedPerTurnBytes = 1 * MiB;

function checkDecoded(plainBytes: number): void {
  if (plainBytes <= decodedBytesMax) return;
  throw new Fault(
    "badRequest",
    `Cannot take a batch that decodes to ${plainBytes} bytes: the limit is ${decodedBytesMax}; use ByteStream for some of it`,
  );
}

/** A batch whose memory is in use waits this long. @source surfaces.md 5.6. */
const batchWaitMsMax = 1_000;

type Place = { readonly surface: GrpcSurface; readonly call: Call; readonly scope: Scope };

async function updateBlob(place: Place, digest: WireDigest, item: BatchUpdateItem): Promise<void> {
  const { surface, call, scope } = place;
  const kind = reapiBlob;
  try {
    const data = plainBytes(digest, item);
    if (data.length !== digest.sizeBytes) {
      const { hash, sizeBytes } = digest;
      throw new Fault(
        "badRequest",
        `Cannot store ${data.length} bytes as ${hash}/${sizeBytes}: the digest names another size`,
      );
    }
    const actual = Buffer.from(digestOf(digest.digestFunction, data)).toString("hex");
    if (actual !== digest.hash) {
      const message = `Cannot store the blob as ${digest.hash}: its own hash is ${actual}`;
      throw new Fault("checksumMismatch", message);
    }
    if (isEmpty(digest)) return;
    const name = nameBlob(scope, digest.digestFunction, digest.hash);
    // A copy: the message around it would be kept for as long as the store holds the bytes.
    const body = data === item.data ? new Uint8Array(data) : data;
    const outcome = await commitBlob(surface, name, { digest, body });
    const isStored = outcome.at === "stored";
    const result = isStored ? "ok" : "exists";
    countWrite(surface, call, { kind, result, bytes: isStored ? data.length : 0 });
  } catch (error) {
    countWrite(surface, call, { kind, result: resultOf(error), bytes: 0 });
    throw error;
  }
}

/** Paid for with the batch. */
function plainBytes({ sizeBytes }: WireDigest, { data, compressor }: BatchUpdateItem): Uint8Array {
  if (compressor === compressors.identity) return data;
  if (compressor !== compressors.zstd) {
    const message = `Cannot read a blob with compressor ${compressor}: the only one here is zstd`;
    throw new GrpcFailure(grpcCodes.unimplemented, message);
  }
  checkBatch(sizeBytes);
  return decompress(data, sizeBytes);
}

/** Reads each blob by itself; those that cannot be read have a status of their own. */
export async function batchReadBlobs(
  surface: GrpcSurface,
  call: Call,
  request: Uint8Array,
): Promise<Uint8Array> {
  const message = needMessage(decodeBatchRead(request), "BatchReadBlobsRequest");
  const scope = scopeOf(surface, message.instanceName);
  const wanted = functionOfNumber(message.digestFunction);
  const totalBytes = message.digests.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  checkBatch(totalBytes);
  const { reads } = surface;
  await takeFor(call, reads, { bytes: totalBytes, withinMs: batchWaitMsMax });
  try {
    const takesZstd = message.acceptableCompressors.includes(compressors.zstd);
    const entriesBytes = entryBytes * message.digests.length;
    const writer = new WireWriter(Math.min(totalBytes + entriesBytes, peerMessageBytesMax));
    const place = { surface, call, scope };
    let restBytes = message.digests.reduce((sum, raw) => sum + refusedBytes(raw), 0);
    checkEntries(restBytes);
    for (const [at, raw] of message.digests.entries()) {
      if (at % lookUpsPerTurn === lookUpsPerTurn - 1) await nextTurn();
      restBytes -= refusedBytes(raw);
      const roomBytes = peerMessageBytesMax - writer.sizeBytes - restBytes;
      const hasRoom = raw.sizeBytes + entryBytes <= roomBytes;
      let plain = hasRoom ? readAtOnce(place, raw, wanted) : noBytes;
      let status = hasRoom ? okStatus : tooMuch;
      if (plain === null) {
        status = await attempt(surface, async () => {
          plain = await readBlob(place, checkRawDigest(raw, wanted));
        });
      }
      writeBlob(writer, { digest: raw, status, ...sentForm(plain ?? noBytes, takesZstd) });
    }
    return writer.finish();
  } finally {
    reads.give(totalBytes);
  }
}

/** What an entry of an answer has beside its blob, with the longest hash. */
const entryBytes = 512;

/** What an entry takes that is refused. */
function refusedBytes({ hash }: RawDigest): number {
  return hash.length + 24;
}

function checkEntries(bytes: number): void {
  if (bytes <= batchBytesMax) return;
  throw new Fault("badRequest", "Cannot answer the batch: it asks for too many blobs at a time");
}

/** The sizes of all blobs are within the limit, and what stands around them is not: the client asks for this one again. */
const tooMuch: GrpcStatus = {
  code: grpcCodes.resourceExhausted,
  message: "",
  retryAfterMs: null,
};

/** Compressed when the client takes it and it helps. */
function sentForm(
  plain: Uint8Array,
  takesZstd: boolean,
): { readonly data: Uint8Array; readonly compressor: number } {
  if (takesZstd && plain.length >= compressedBytesMin) {
    const data = compress(plain);
    if (data.length < plain.length) return { data, compressor: compressors.zstd };
  }
  return { data: plain, compressor: compressors.identity };
}

/** A blob that is in memory, or nearly so; null for any other, and for whatever is wrong. */
function readAtOnce(
  { surface, call, scope }: Place,
  { hash, sizeBytes }: RawDigest,
  wanted: DigestFunction | null,
): Uint8Array | null {
  const digestFunction = functionOfHash(hash);
  if (digestFunction === null || (wanted ?? digestFunction) !== digestFunction) return null;
  const manifest = findBlob(surface, scope, { digestFunction, hash, sizeBytes });
  if (manifest === null) return null;
  const body = surface.store().open(manifest, 0, sizeBytes);
  if (body.at !== "bytes") return null;
  countRead(surface, call, { kind: reapiBlob, result: "ok", bytes: sizeBytes });
  return body.bytes;
}

/** Stands for the budget where a batch has taken everything from it already. */
const paid = {
  limitBytes: Number.POSITIVE_INFINITY,
  take: (): Promise<void> => Promise.resolve(),
  give: (): void => {},
};

async function readBlob(place: Place, digest: WireDigest): Promise<Uint8Array> {
  const { surface, call, scope } = place;
  const kind = reapiBlob;
  if (isEmpty(digest)) return noBytes;
  try {
    const manifest = findBlob(surface, scope, digest);
    const deps = { ...bodyDeps(surface, call), budget: paid };
    const body = manifest === null ? null : await readWholeBody(deps, manifest);
    if (body === null) {
      const message = `There is no blob ${digest.hash}/${digest.sizeBytes} in this instance`;
      throw new Fault("missing", message);
    }
    // The whole batch was paid for already.
    body[Symbol.dispose]();
    countRead(surface, call, { kind, result: "ok", bytes: body.bytes.length });
    return body.bytes;
  } catch (error) {
    countRead(surface, call, { kind, result: resultOf(error), bytes: 0 });
    throw error;
  }
}

/** The status of one item; trouble of the whole node ends the call. */
async function attempt(surface: GrpcSurface, run: () => Promise<void>): Promise<GrpcStatus> {
  try {
    await run();
    return okStatus;
  } catch (error) {
    if (!(error instanceof GrpcFailure) && asFault(error).code === "clientClosed") throw error;
    return statusOf(error, surface.random);
  }
}

function checkBatch(totalBytes: number): void {
  if (totalBytes <= batchBytesMax) return;
  throw new Fault(
    "badRequest",
    `Cannot take a batch of ${totalBytes} bytes: the limit is ${batchBytesMax}, as GetCapabilities says; use ByteStream for larger blobs`,
  );
}

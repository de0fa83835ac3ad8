import { budgetWaitMsMax } from "../../base/limits.ts";
import { KiB, MiB } from "../../base/units.ts";

/** What other clients accept at most unless they are told otherwise. @source grpc.io, default of all libraries. */
export const peerMessageBytesMax = 4 * MiB;
/** Batches leave this to framing and to what stands around the blobs. @source point 14 of the conformance list. */
export const batchBytesMax = peerMessageBytesMax - 64 * KiB;
/** FindMissingBlobs with 50,000 digests is 4 MB, and moon and Buck2 write messages of a few MiB. */
export const receivedMessageBytesMax = 16 * MiB;

/**
 * What blobs over 64 KiB that come by byte stream hold in memory together; the others wait on disk. 32 of 1 MiB, as many as
 * clients send at a time: by way of the disk a blob of 1 MiB costs half as much again (measured on 2026-11-22).
 */
export const gatheredBytesMax = 32 * MiB;
/** A stream of zstd waits this long for its turn. */
export const coderWaitMsMax = budgetWaitMsMax;

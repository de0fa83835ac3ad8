import { KiB, MiB } from "../../../runtime/base/units.ts";

/** Calls of the Remote Execution API that are measured, by the names of the API. */
export const grpcOperations = [
  "GetActionResult",
  "FindMissingBlobs",
  "BatchReadBlobs",
  "BatchUpdateBlobs",
  "UpdateActionResult",
  "Read",
  "Write",
] as const;
export type GrpcOperation = (typeof grpcOperations)[number];

const reapi = "/build.bazel.remote.execution.v2";
const byteStream = "/google.bytestream.ByteStream";

export const grpcPaths: Readonly<Record<GrpcOperation, string>> = {
  GetActionResult: `${reapi}.ActionCache/GetActionResult`,
  UpdateActionResult: `${reapi}.ActionCache/UpdateActionResult`,
  FindMissingBlobs: `${reapi}.ContentAddressableStorage/FindMissingBlobs`,
  BatchReadBlobs: `${reapi}.ContentAddressableStorage/BatchReadBlobs`,
  BatchUpdateBlobs: `${reapi}.ContentAddressableStorage/BatchUpdateBlobs`,
  Read: `${byteStream}/Read`,
  Write: `${byteStream}/Write`,
};

/** What a call of the unary operations is about. @source design.md, "Speed we mean to reach". */
export const outputsPerResult = 10;
export const digestsPerSearch = 100;
/** Blobs of batches, and those that results and searches name. */
export const smallBlobBytes = 1 * KiB;
/** Streamed in the default run: the sizes of the design, and one between. */
export const streamedSizes: readonly number[] = [128 * KiB, 1 * MiB, 64 * MiB];

export function isStreamed(operation: GrpcOperation): boolean {
  return operation === "Read" || operation === "Write";
}

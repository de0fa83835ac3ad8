import { AssertionFailure } from "../../base/assert.ts";
import { asFault, type FaultCode } from "../../base/fault.ts";
import { retryAfterSecondsMax } from "../../base/limits.ts";
import type { Random } from "../../base/random.ts";
import { type GrpcCode, GrpcFailure, type GrpcStatus, grpcCodes } from "../../wire/grpc/status.ts";

/** @source design.md 3; surfaces.md 5.9; point 23 of the conformance list. */
const codeOf: Readonly<Record<FaultCode, GrpcCode>> = {
  badRequest: grpcCodes.invalidArgument,
  unauthorized: grpcCodes.unauthenticated,
  forbidden: grpcCodes.permissionDenied,
  missing: grpcCodes.notFound,
  methodNotAllowed: grpcCodes.unimplemented,
  timeout: grpcCodes.deadlineExceeded,
  tooLarge: grpcCodes.invalidArgument,
  rangeInvalid: grpcCodes.outOfRange,
  mediaType: grpcCodes.invalidArgument,
  checksumMismatch: grpcCodes.invalidArgument,
  unprocessable: grpcCodes.invalidArgument,
  overloaded: grpcCodes.resourceExhausted,
  clientClosed: grpcCodes.cancelled,
  internal: grpcCodes.internal,
  unavailable: grpcCodes.unavailable,
  full: grpcCodes.resourceExhausted,
  damaged: grpcCodes.internal,
  // What was written may or may not survive: the client has to come again.
  outcomeUnknown: grpcCodes.unavailable,
  usage: grpcCodes.internal,
  configuration: grpcCodes.internal,
  portInUse: grpcCodes.internal,
  dataDirectory: grpcCodes.internal,
  formatTooNew: grpcCodes.internal,
  locked: grpcCodes.internal,
};

/** The status of whatever was thrown, except a broken assertion: that ends the process. */
export function statusOf(error: unknown, random: Random): GrpcStatus {
  if (error instanceof GrpcFailure) {
    return { code: error.code, message: error.message, retryAfterMs: null };
  }
  if (error instanceof AssertionFailure) {
    queueMicrotask(() => {
      throw error;
    });
  }
  const fault = asFault(error);
  const code = codeOf[fault.code];
  const isForLater = code === grpcCodes.resourceExhausted || code === grpcCodes.unavailable;
  const retryAfterMs = isForLater ? 1_000 * (1 + random.below(retryAfterSecondsMax)) : null;
  return { code, message: publicMessage(fault.code, fault.message, fault.cause), retryAfterMs };
}

/** Messages of the store and the disk name files and system errors, which are for the log only. */
function publicMessage(code: FaultCode, message: string, cause: unknown): string {
  switch (code) {
    case "internal":
    case "damaged":
      return "The request failed inside Kura: see the log of the node";
    case "full":
      return "The store is full: free disk space or raise KURA_CAS_CAPACITY_BYTES";
    case "outcomeUnknown":
      return "Nobody knows whether the write will survive: send it again";
    case "unavailable":
      return cause === undefined
        ? message
        : "The store cannot serve this request now: see the log of the node";
    default:
      return message;
  }
}

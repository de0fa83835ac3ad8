import { WireWriter } from "../proto/wire-writer.ts";

/** @source grpc.io, "Status codes and their use in gRPC". */
export const grpcCodes = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;
export type GrpcCode = (typeof grpcCodes)[keyof typeof grpcCodes];

/** How a call ended. `retryAfterMs` tells the client when to come again; null where that is not for us to say. */
export type GrpcStatus = {
  readonly code: GrpcCode;
  readonly message: string;
  readonly retryAfterMs: number | null;
};

/** Ends a call with a status that no `Fault` has. */
export class GrpcFailure extends Error {
  readonly code: GrpcCode;

  constructor(code: GrpcCode, message: string) {
    super(message);
    this.name = "GrpcFailure";
    this.code = code;
  }
}

/** Fields of `google.rpc.Status`, `google.protobuf.Any`, `google.rpc.RetryInfo` and `google.protobuf.Duration`. */
const statusFields = { code: 1, message: 2, details: 3 } as const;
const anyFields = { typeUrl: 1, value: 2 } as const;
const retryInfoFields = { retryDelay: 1 } as const;
const durationFields = { seconds: 1, nanos: 2 } as const;
const retryInfoType = "type.googleapis.com/google.rpc.RetryInfo";
const nanosPerMs = 1_000_000;

/** Writes a status into an open message, as `google.rpc.Status`. */
export function writeStatus(writer: WireWriter, status: GrpcStatus): void {
  writer.number(statusFields.code, status.code);
  writer.text(statusFields.message, status.message);
  if (status.retryAfterMs === null) return;
  const details = writer.begin(statusFields.details);
  writer.text(anyFields.typeUrl, retryInfoType);
  const value = writer.begin(anyFields.value);
  const delay = writer.begin(retryInfoFields.retryDelay);
  writer.number(durationFields.seconds, Math.floor(status.retryAfterMs / 1_000));
  writer.number(durationFields.nanos, (status.retryAfterMs % 1_000) * nanosPerMs);
  writer.end(delay);
  writer.end(value);
  writer.end(details);
}

/** The value of the trailer `grpc-status-details-bin`. */
export function encodeStatus(status: GrpcStatus): Uint8Array {
  const writer = new WireWriter();
  writeStatus(writer, status);
  return writer.finish();
}

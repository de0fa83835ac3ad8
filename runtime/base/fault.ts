/**
 * The closed set of ways in which a request, a command or a start can fail.
 * Surfaces translate a code into a status (HTTP, gRPC) and commands into an exit code; nothing else does.
 */
export type FaultCode =
  | "badRequest"
  | "unauthorized"
  | "forbidden"
  | "missing"
  | "methodNotAllowed"
  | "timeout"
  | "tooLarge"
  | "rangeInvalid"
  | "mediaType"
  | "checksumMismatch"
  | "unprocessable"
  | "overloaded"
  | "clientClosed"
  | "internal"
  | "unavailable"
  | "full"
  | "damaged"
  | "outcomeUnknown"
  | "usage"
  | "configuration"
  | "portInUse"
  | "dataDirectory"
  | "formatTooNew"
  | "locked";

/**
 * The one error class. The message says what was attempted, on what, with which numbers, and what to do.
 * The cause is for the log and is never sent to a client.
 */
export class Fault extends Error {
  readonly code: FaultCode;

  constructor(code: FaultCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "Fault";
    this.code = code;
  }
}

/** Gives any thrown value the shape of a Fault; an unknown error becomes `internal`. */
export function asFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  return new Fault("internal", "The request failed inside Kura: see the log of the node", {
    cause: error,
  });
}

/** The system's error name (`ENOSPC`, `EIO`), or null when the error is not from the system. */
export function systemCode(error: unknown): string | null {
  if (typeof error !== "object" || error === null || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}

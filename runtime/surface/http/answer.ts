import { Fault, type FaultCode } from "../../base/fault.ts";
import { refusedBodyBytesMax, retryAfterSecondsMax } from "../../base/limits.ts";
import type { NxTrouble } from "../../observe/metrics.ts";
import { declaredLength } from "./body-chunks.ts";
import type { Exchange } from "./exchange.ts";

/** Statuses of refusals. @source design.md 3 and surfaces.md 2.5. */
const statusByCode: Readonly<Record<FaultCode, number>> = {
  badRequest: 400,
  unauthorized: 401,
  forbidden: 403,
  missing: 404,
  methodNotAllowed: 405,
  timeout: 408,
  tooLarge: 413,
  rangeInvalid: 416,
  checksumMismatch: 422,
  overloaded: 429,
  // Nobody reads it: it is for the metrics.
  clientClosed: 499,
  internal: 500,
  unavailable: 503,
  full: 507,
  damaged: 500,
  // Never sent: the connection is cut.
  outcomeUnknown: 500,
  usage: 500,
  configuration: 500,
  portInUse: 500,
  dataDirectory: 500,
  formatTooNew: 500,
  locked: 500,
};

/** Nx fails the build over these, so it is told a miss or "read-only" instead. @source clients.md 4. */
const softenedForNx: Readonly<Partial<Record<FaultCode, NxTrouble>>> = {
  overloaded: "overloaded",
  full: "full",
  unavailable: "unavailable",
  tooLarge: "too_large",
  timeout: "too_slow",
  internal: "fault",
  damaged: "fault",
};

/** An answer without a body. */
export function emptyAnswer(exchange: Exchange, status: number): Response {
  return new Response(null, { status, headers: commonHeaders(exchange) });
}

/** A refusal as the surfaces write it: `{"message": ...}`. */
export function jsonAnswer(
  exchange: Exchange,
  status: number,
  message: string,
  extra: Readonly<Record<string, string>> = {},
): Response {
  const headers = { ...commonHeaders(exchange), "content-type": "application/json", ...extra };
  return new Response(JSON.stringify({ message }), { status, headers });
}

/** The answer for anything that was thrown on the way. */
export function refuse(exchange: Exchange, fault: Fault): Response {
  if (fault.code === "outcomeUnknown") return cutConnection(exchange);
  hangUpWhenLong(exchange);
  // A body that broke off or is too slow leaves a connection on which nobody knows where the next request begins.
  if (fault.code === "timeout" || fault.code === "clientClosed") exchange.hangsUp = true;
  const status = statusByCode[fault.code];
  if (exchange.route.form === "nx") return refuseNx(exchange, fault, status);
  const extra = needsRetryAfter(exchange, fault) ? { "retry-after": retryAfter(exchange) } : {};
  return jsonAnswer(exchange, status, publicMessage(fault), extra);
}

/** Messages of the store and the disk name files and system errors, which are for the log only. */
function publicMessage(fault: Fault): string {
  switch (fault.code) {
    case "internal":
    case "damaged":
      return "The request failed inside Kura: see the log of the node";
    case "full":
      return "The store is full: free disk space or raise KURA_CAS_CAPACITY_BYTES";
    case "unavailable":
      return fault.cause === undefined ? fault.message : storeFaultMessage;
    default:
      return fault.message;
  }
}

const storeFaultMessage = "The store cannot serve this request now: see the log of the node";

function refuseNx(exchange: Exchange, fault: Fault, status: number): Response {
  const trouble = softenedForNx[fault.code];
  const message = publicMessage(fault);
  if (trouble === undefined) return textAnswer(exchange, status, message);
  const isWrite = exchange.method === "PUT";
  exchange.surface.metrics.nxSoftened(isWrite ? "PUT" : "GET", trouble);
  return textAnswer(exchange, isWrite ? 403 : 404, message);
}

/** A refusal in the form of its route. */
export function explain(exchange: Exchange, status: number, message: string): Response {
  const write = exchange.route.form === "nx" ? textAnswer : jsonAnswer;
  return write(exchange, status, message);
}

function textAnswer(exchange: Exchange, status: number, message: string): Response {
  const headers = { ...commonHeaders(exchange), "content-type": "text/plain; charset=utf-8" };
  return new Response(`${message}\n`, { status, headers });
}

/** For a wrong method: the right ones stand in `Allow`. */
export function refuseMethod(exchange: Exchange): Response {
  const allow = [...exchange.route.operations.keys()].join(", ");
  const message = `Cannot ${exchange.request.method} ${exchange.route.template}: use ${allow}`;
  hangUpWhenLong(exchange);
  const status = statusByCode.methodNotAllowed;
  const answer = explain(exchange, status, message);
  answer.headers.set("allow", allow);
  return answer;
}

/**
 * Ends the connection without a byte: what was written may or may not survive, and any status would be a lie.
 * A body that fails before its first chunk makes Bun reset the connection before the status line; a body that fails
 * later comes after it (both measured on 1.4.5, kept by a spec). An undefined reason keeps Bun from printing it.
 */
export function cutConnection(exchange: Exchange): Response {
  exchange.isCut = true;
  const failing = new ReadableStream({
    start(controller) {
      controller.error(undefined);
    },
  });
  return new Response(failing);
}

/**
 * Bun reads the rest of a body that nobody asked for, so that a client that sends all before it reads sees the answer,
 * and the connection lives on. Up to 512 MiB, or what the route would have taken anyway; above it we hang up.
 */
export function hangUpWhenLong(exchange: Exchange, welcomeBytesMax = 0): void {
  if (exchange.isBodyTaken) return;
  const lengthBytes = declaredLength(exchange.request) ?? 0;
  if (lengthBytes > Math.max(refusedBodyBytesMax, welcomeBytesMax)) exchange.hangsUp = true;
}

export function commonHeaders(exchange: Exchange): Record<string, string> {
  const headers: Record<string, string> = {
    "x-request-id": exchange.requestId,
    "x-kura-region": exchange.surface.config.region,
  };
  if (exchange.hangsUp) headers.connection = "close";
  return headers;
}

/** A drained node will not be back: its clients should ask another one at once. */
function needsRetryAfter({ surface }: Exchange, fault: Fault): boolean {
  if (fault.code === "overloaded") return true;
  return fault.code === "unavailable" && surface.status.phase === "recovering";
}

/** Whole seconds, drawn evenly, so that clients that were shed together do not come back together. */
function retryAfter({ surface }: Exchange): string {
  return String(1 + surface.random.below(retryAfterSecondsMax));
}

/** A store that cannot look up or commit is a fault of the node (503), not of the program (500). */
export function asStoreFault(error: unknown): unknown {
  if (!(error instanceof Fault)) return error;
  const isStoreFault =
    error.code === "internal" || error.code === "damaged" || error.code === "unavailable";
  if (!isStoreFault) return error;
  return new Fault("unavailable", storeFaultMessage, { cause: error });
}

import { Fault, type FaultCode } from "../../base/fault.ts";
import { refusedBodyBytesMax, retryAfterSecondsMax } from "../../base/limits.ts";
import type { NxTrouble } from "../../observe/metrics.ts";
import { type Answer, noBody } from "../../wire/http1/answer.ts";
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
  mediaType: 415,
  checksumMismatch: 422,
  unprocessable: 422,
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

/** Nx and Metro fail the build over these, so they are told a miss or, Nx, "read-only" instead. @source clients.md 4. */
const softened: Readonly<Partial<Record<FaultCode, NxTrouble>>> = {
  overloaded: "overloaded",
  full: "full",
  unavailable: "unavailable",
  tooLarge: "too_large",
  timeout: "too_slow",
  internal: "fault",
  damaged: "fault",
};

/** An answer without a body. */
export function emptyAnswer(exchange: Exchange, status: number): Answer {
  return { status, headers: commonHeaders(exchange), body: noBody, hangsUp: exchange.hangsUp };
}

/** A refusal as the surfaces write it: `{"message": ...}`. */
export function jsonAnswer(
  exchange: Exchange,
  status: number,
  message: string,
  extra: Readonly<Record<string, string>> = {},
): Answer {
  const headers = { ...commonHeaders(exchange), "content-type": "application/json", ...extra };
  return writtenAnswer(exchange, { status, headers, text: JSON.stringify({ message }) });
}

/** The answer for anything that was thrown on the way. */
export function refuse(exchange: Exchange, fault: Fault): Answer {
  if (fault.code === "outcomeUnknown") return cutConnection(exchange);
  hangUpWhenLong(exchange);
  // A body that broke off or is too slow leaves a connection on which nobody knows where the next request begins.
  if (fault.code === "timeout" || fault.code === "clientClosed") exchange.hangsUp = true;
  const status = statusByCode[fault.code];
  if (exchange.route.form === "nx") return refuseNx(exchange, fault, status);
  if (exchange.route.form === "metro" && isSoftenedForMetro(exchange, fault)) {
    return jsonAnswer(exchange, 404, publicMessage(fault));
  }
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

function refuseNx(exchange: Exchange, fault: Fault, status: number): Answer {
  const trouble = softened[fault.code];
  const message = publicMessage(fault);
  if (trouble === undefined) return textAnswer(exchange, status, message);
  const isWrite = exchange.method === "PUT";
  exchange.surface.metrics.nxSoftened(isWrite ? "PUT" : "GET", trouble);
  return textAnswer(exchange, isWrite ? 403 : 404, message);
}

/**
 * Metro 0.83 takes any answer to an upload, but a download that is neither 200 nor 404 ends its build (measured, kept
 * by a spec).
 */
function isSoftenedForMetro(exchange: Exchange, fault: Fault): boolean {
  const trouble = softened[fault.code];
  if (trouble === undefined || exchange.method === "PUT") return false;
  exchange.surface.metrics.metroSoftened(trouble);
  return true;
}

/** A refusal in the form of its route. */
export function explain(exchange: Exchange, status: number, message: string): Answer {
  const write = exchange.route.form === "nx" ? textAnswer : jsonAnswer;
  return write(exchange, status, message);
}

function textAnswer(exchange: Exchange, status: number, message: string): Answer {
  const headers = { ...commonHeaders(exchange), "content-type": "text/plain; charset=utf-8" };
  return writtenAnswer(exchange, { status, headers, text: `${message}\n` });
}

/** An answer of JSON data. */
export function dataAnswer(exchange: Exchange, status: number, data: object): Answer {
  const headers = { ...commonHeaders(exchange), "content-type": "application/json" };
  return writtenAnswer(exchange, { status, headers, text: JSON.stringify(data) });
}

/** An answer whose body is a text. */
export function writtenAnswer(
  exchange: Exchange,
  parts: { status: number; headers: Record<string, string>; text: string },
): Answer {
  const { status, headers, text } = parts;
  const body = { at: "bytes", bytes: encoder.encode(text) } as const;
  return { status, headers, body, hangsUp: exchange.hangsUp };
}

const encoder = new TextEncoder();

/** For a wrong method: the right ones stand in `Allow`. */
export function refuseMethod(exchange: Exchange): Answer {
  const allow = [...exchange.route.operations.keys()].join(", ");
  const message = `Cannot ${exchange.request.method} ${exchange.route.template}: use ${allow}`;
  hangUpWhenLong(exchange);
  const status = statusByCode.methodNotAllowed;
  const answer = explain(exchange, status, message);
  answer.headers.allow = allow;
  return answer;
}

/** Ends the connection without a byte: what was written may or may not survive, and any status would be a lie. */
export function cutConnection(exchange: Exchange): Answer {
  exchange.isCut = true;
  return { status: statusByCode.outcomeUnknown, headers: {}, body: { at: "cut" } };
}

/**
 * The rest of a body that nobody asked for is read and dropped, so that a client that sends all before it reads sees
 * the answer, and the connection lives on. Up to 512 MiB, or what the route would have taken anyway; above it we hang
 * up.
 */
export function hangUpWhenLong(exchange: Exchange, welcomeBytesMax = 0): void {
  const { body } = exchange.request;
  if (body.isReceived) return;
  const lengthBytes = body.lengthBytes ?? 0;
  if (lengthBytes > Math.max(refusedBodyBytesMax, welcomeBytesMax)) exchange.hangsUp = true;
}

export function commonHeaders(exchange: Exchange): Record<string, string> {
  return {
    "x-request-id": exchange.requestId,
    "x-kura-region": exchange.surface.config.region,
  };
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

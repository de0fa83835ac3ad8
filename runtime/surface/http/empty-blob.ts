import type { ArtifactKind } from "../../catalog/kinds.ts";
import { type Answer, noBody } from "../../wire/http1/answer.ts";
import { commonHeaders, emptyAnswer, hangUpWhenLong, jsonAnswer } from "./answer.ts";
import { countRead } from "./download.ts";
import type { Exchange } from "./exchange.ts";
import { parseRange } from "./range.ts";
import { countWrite } from "./upload.ts";

const etag = `"0-0"`;

/**
 * Answers GET and HEAD of the empty blob, which is always there, as for one that is stored; every range of it is 416.
 * @source surfaces.md 5.4 and 3.1.
 */
export function sendEmpty(exchange: Exchange, kind: ArtifactKind): Answer {
  if (isUnsatisfiable(exchange)) {
    countRead(exchange, kind, "range_not_satisfiable");
    const extra = { "content-range": "bytes */0", "accept-ranges": "bytes" };
    return jsonAnswer(exchange, 416, "Cannot send this range: the artifact has 0 bytes", extra);
  }
  countRead(exchange, kind, "ok");
  const headers = {
    ...commonHeaders(exchange),
    "content-type": kind.contentType,
    "content-disposition": "attachment",
    etag,
    "accept-ranges": "bytes",
  };
  return { status: 200, headers, body: noBody, hangsUp: exchange.hangsUp };
}

/** Answers PUT as for any blob that is there: the body is not looked at, and nothing is stored. */
export function keepEmpty(exchange: Exchange, kind: ArtifactKind): Answer {
  countWrite(exchange, kind, "exists", 0);
  hangUpWhenLong(exchange);
  return emptyAnswer(exchange, 200);
}

function isUnsatisfiable({ method, request }: Exchange): boolean {
  const range = method === "GET" ? request.headers.get("range") : null;
  if (range === null) return false;
  const condition = request.headers.get("if-range");
  if (condition !== null && condition.trim() !== etag) return false;
  return parseRange(range, 0).at === "unsatisfiable";
}

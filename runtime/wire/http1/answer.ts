import { assert, unreachable } from "../../base/assert.ts";
import type { DiskFile } from "../../base/disk.ts";

/** What is sent back for a request. */
export type Answer = {
  readonly status: number;
  /** Names are lower-case; values are Latin-1 without line ends. Content-Length, Date and Connection are added. */
  readonly headers: Record<string, string>;
  /** More of them, which many answers share. */
  readonly block?: HeaderBlock;
  readonly body: AnswerBody;
  /** The connection ends after this answer. */
  readonly hangsUp?: boolean;
  /** Told once, when the answer has left this process whole (true) or never will (false). */
  onEnd?: (isDelivered: boolean) => void;
};

/** Headers in the form in which they go out, made by `headerBlock`. */
export type HeaderBlock = { readonly lines: string };

export type AnswerBody =
  /** No bytes; `lengthBytes` is what a GET would have had, for answers to HEAD. */
  | { readonly at: "none"; readonly lengthBytes?: number }
  /** Up to 256 KiB are copied before anything else runs; longer ones must stay unchanged until they are sent. */
  | { readonly at: "bytes"; readonly bytes: Uint8Array }
  /** A stretch of a file that is known to be there; `close` is called when it is no longer needed. */
  | {
      readonly at: "file";
      readonly file: DiskFile;
      readonly startBytes: number;
      readonly endBytes: number;
      readonly close: () => void;
    }
  /** The connection is cut before a status, since no answer would be true. */
  | { readonly at: "cut" };

export const noBody: AnswerBody = { at: "none" };

const reasons: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  206: "Partial Content",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
  507: "Insufficient Storage",
};

const statusLines = new Map(
  Object.entries(reasons).map(([status, reason]) => [
    Number(status),
    `HTTP/1.1 ${status} ${reason}\r\n`,
  ]),
);

/** Line ends, other controls, and what has no byte in Latin-1: it would be cut to its low byte, which may be one. */
const unfit = /[^\t\x20-\x7e\x80-\xff]/;
const statusNoContent = 204;
const statusNotModified = 304;

/** Bytes of the body that a GET gets. */
export function bodyLength({ body }: Answer): number {
  switch (body.at) {
    case "none":
      return body.lengthBytes ?? 0;
    case "bytes":
      return body.bytes.length;
    case "file":
      return body.endBytes - body.startBytes;
    case "cut":
      return 0;
    default:
      return unreachable(body);
  }
}

/** Gives back what a body holds that is not going to be sent. */
export function closeBody({ body }: Answer): void {
  if (body.at === "file") body.close();
}

/** The head of an answer as it goes over the wire, in Latin-1. `connection` and `date` are whole header lines. */
export function writeHead(
  answer: Answer,
  { lengthBytes, connection, date }: { lengthBytes: number; connection: string; date: string },
): string {
  const { status, headers, block } = answer;
  let head = statusLines.get(status) ?? `HTTP/1.1 ${status} \r\n`;
  if (block !== undefined) head += block.lines;
  head += headerLines(headers);
  if (status !== statusNoContent && status !== statusNotModified) {
    head += `content-length: ${lengthBytes}\r\n`;
  }
  return `${head}${date}${connection}\r\n`;
}

/** Checks headers and writes them once for many answers. */
export function headerBlock(headers: Readonly<Record<string, string>>): HeaderBlock {
  return { lines: headerLines(headers) };
}

function headerLines(headers: Readonly<Record<string, string>>): string {
  let lines = "";
  for (const name in headers) {
    const value = headers[name] ?? "";
    assert(!unfit.test(value), "no value of a header can end its line");
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

import { headersMax } from "../../base/limits.ts";
import { HeaderList, noHeaders } from "./headers.ts";
import { readLatin1 } from "./latin1.ts";
import { emptyLinesMax, headBytesMax, knownHeadBytesMax } from "./limits.ts";

/** What the first bytes of a connection are. */
export type ParsedHead =
  | { readonly at: "whole"; readonly head: RequestHead; readonly endBytes: number }
  | { readonly at: "incomplete" }
  | BadHead;

export type BadHead = {
  readonly at: "bad";
  readonly status: number;
  readonly message: string;
  readonly method: string;
  readonly target: string;
  readonly headers: HeaderList;
};

export type RequestHead = {
  readonly method: string;
  /** Without scheme and authority. */
  readonly target: string;
  readonly headers: HeaderList;
  /** Length of the body that follows; null when it is chunked, 0 when there is none. */
  readonly bodyBytes: number | null;
  /** HTTP/1.0. */
  readonly isOld: boolean;
  /** The client wants to use the connection again. */
  readonly keepsAlive: boolean;
  /** The client waits for 100 Continue before it sends the body. */
  readonly waits: boolean;
};

const headEnd = Buffer.from("\r\n\r\n");
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const tab = 0x09;
const space = 0x20;
/** TLS begins with this byte. */
const tlsHandshake = 0x16;

const statusBadRequest = 400;
const statusHeadersTooLarge = 431;
const statusNotImplemented = 501;
const statusVersionUnknown = 505;

/** What RFC 9110 section 9 and RFC 5789 know; routes say 405 to those they do not have. */
const methods = new Set([
  ...["GET", "HEAD", "PUT", "POST", "DELETE"],
  ...["OPTIONS", "PATCH", "TRACE", "CONNECT"],
]);

const requestLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP\/(\d)\.(\d)$/;
const visible = /^[\x21-\x7e]+$/;
const version11 = " HTTP/1.1";
/** Lines of a token, a colon and a value without controls: no folding, no space before the colon, no bare line ends. */
export const headerLines = /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/;
const wholeNumber = /^\d{1,15}$/;
/** A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port. */
const hostPattern = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;
const absoluteTarget = /^https?:\/\/([^/?#]*)(.*)$/i;

/**
 * The headers that a connection sent last. Clients repeat them from request to request, and equal bytes mean the same:
 * comparing them costs a tenth of reading them.
 */
export type HeadMemo = { block: string; head: RequestHead | null };

/**
 * Reads the head of a request from the start of `bytes`. It takes only what every server reads in the same way: two
 * readings of one request are how requests are smuggled past a gateway. What it refuses ends the connection.
 * @source RFC 9112 sections 2 to 6.
 */
export function parseHead(bytes: Buffer, memo: HeadMemo): ParsedHead {
  const endBytes = bytes.indexOf(headEnd);
  if (endBytes === -1 || endBytes > headBytesMax) return judgeIncomplete(bytes);
  const text = readLatin1(bytes, 0, endBytes + 2);
  const lineEnd = text.indexOf("\r\n");
  const repeated = readRepeated(text, lineEnd, memo);
  if (repeated !== null) return whole(repeated, endBytes);
  const line = requestLine.exec(text.slice(0, lineEnd));
  if (line === null) {
    return bad(statusBadRequest, "Cannot read the request line: send METHOD /path HTTP/1.1");
  }
  const [, method = "", rawTarget = "", major, minor] = line;
  if (!methods.has(method)) {
    return bad(statusNotImplemented, "Cannot serve this method: there is none of this name here");
  }
  // RFC 9110 would take a minor version above 1 for 1. Nobody sends one, and servers differ in what they make of it.
  if (major !== "1" || (minor !== "1" && minor !== "0"))
    return bad(statusVersionUnknown, "Cannot speak this version: use HTTP/1.1");
  const block = text.slice(lineEnd + 2);
  if (!headerLines.test(block)) {
    return bad(statusBadRequest, "Cannot read the headers: one of them is malformed");
  }
  const parsed = judge(new Lines(method, rawTarget, minor === "0"), block, endBytes);
  const isWorthKeeping = parsed.at === "whole" && minor === "1" && endBytes <= knownHeadBytesMax;
  memo.block = isWorthKeeping ? block : "";
  memo.head = isWorthKeeping ? parsed.head : null;
  return parsed;
}

/** The head of a request that differs from the one before in its path at most, or null. */
function readRepeated(
  text: string,
  lineEnd: number,
  { block, head }: HeadMemo,
): RequestHead | null {
  if (head === null || text.length !== lineEnd + 2 + block.length || !text.endsWith(block)) {
    return null;
  }
  const { method, headers, bodyBytes, isOld, keepsAlive, waits } = head;
  const targetEnd = lineEnd - version11.length;
  const isSameMethod = text.startsWith(method) && text.charCodeAt(method.length) === space;
  if (!isSameMethod || !text.startsWith(version11, targetEnd)) return null;
  const rawTarget = text.slice(method.length + 1, targetEnd);
  const target = visible.test(rawTarget) ? targetOf(rawTarget, method) : null;
  if (target === null) return null;
  return { method, target, headers, bodyBytes, isOld, keepsAlive, waits };
}

/** `endBytes` is where the empty line begins. */
function whole(head: RequestHead, endBytes: number): ParsedHead {
  return { at: "whole", head, endBytes: endBytes + headEnd.length };
}

/** Length of the empty lines that some clients send after a body. */
export function emptyLineBytes(bytes: Buffer): number {
  let count = 0;
  while (count < 2 * emptyLinesMax) {
    if (bytes[count] !== carriageReturn || bytes[count + 1] !== lineFeed) break;
    count += 2;
  }
  return count;
}

/** More than a head may have, or bytes that no line end of ours will ever make whole. */
function judgeIncomplete(bytes: Buffer): ParsedHead {
  if (bytes.length > headBytesMax) {
    return bad(statusHeadersTooLarge, `Cannot read a head of more than ${headBytesMax} bytes`);
  }
  if (bytes[0] === tlsHandshake) return badFirstByte();
  const feed = bytes.indexOf(lineFeed);
  if (feed !== -1 && bytes[feed - 1] !== carriageReturn) {
    return bad(statusBadRequest, "Cannot read the request: its lines must end with CR LF");
  }
  return { at: "incomplete" };
}

/** Somebody has taken https for http. */
function badFirstByte(): BadHead {
  return bad(statusBadRequest, "This port speaks plain HTTP: use http:// or the TLS port");
}

/** Gathers what the lines of one head say. */
class Lines {
  readonly method: string;
  readonly rawTarget: string;
  readonly isOld: boolean;
  readonly names: string[] = [];
  readonly values: string[] = [];
  host: string | null = null;
  hosts = 0;
  length: string | null = null;
  lengths = 0;
  encoding: string | null = null;
  connection = "";
  expect: string | null = null;

  constructor(method: string, rawTarget: string, isOld: boolean) {
    this.method = method;
    this.rawTarget = rawTarget;
    this.isOld = isOld;
  }

  take(name: string, value: string): void {
    this.names.push(name);
    this.values.push(value);
    switch (name) {
      case "host":
        this.host = value;
        this.hosts += 1;
        break;
      case "content-length":
        this.length = value;
        this.lengths += 1;
        break;
      case "transfer-encoding":
        this.encoding = this.encoding === null ? value : `${this.encoding}, ${value}`;
        break;
      case "connection":
        this.connection += `,${value.toLowerCase()}`;
        break;
      case "expect":
        this.expect = this.expect === null ? value.toLowerCase() : `${this.expect}, ${value}`;
        break;
    }
  }
}

function judge(lines: Lines, block: string, endBytes: number): ParsedHead {
  let at = 0;
  while (at < block.length) {
    const colon = block.indexOf(":", at);
    const end = block.indexOf("\r\n", colon);
    lines.take(block.slice(at, colon).toLowerCase(), fieldValue(block, colon + 1, end));
    at = end + 2;
  }
  const target = targetOf(lines.rawTarget, lines.method);
  const refusal = refuse(lines, target);
  if (refusal !== null) {
    const headers = new HeaderList(lines.names, lines.values);
    return { ...refusal, method: lines.method, target: target ?? "", headers };
  }
  return whole(headOf(lines, target ?? ""), endBytes);
}

/** Without spaces and tabs around it. `trim` takes a no-break space (0xA0) too: "\xa0chunked" is not "chunked". */
function fieldValue(block: string, from: number, to: number): string {
  let [start, end] = [from, to];
  while (start < end && isBlank(block.charCodeAt(start))) start += 1;
  while (end > start && isBlank(block.charCodeAt(end - 1))) end -= 1;
  return block.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === space || code === tab;
}

function headOf(lines: Lines, target: string): RequestHead {
  const { method, names, values, connection, isOld } = lines;
  const bodyBytes = lines.encoding !== null ? null : Number(lines.length ?? 0);
  const keepsAlive =
    !hasToken(connection, "close") && (!isOld || hasToken(connection, "keep-alive"));
  const waits = !isOld && lines.expect === "100-continue" && bodyBytes !== 0;
  const headers = new HeaderList(names, values);
  return { method, target, headers, bodyBytes, isOld, keepsAlive, waits };
}

/** Path and query; null for a target that names no path here. */
function targetOf(rawTarget: string, method: string): string | null {
  // A fragment is never sent by a client that means well; CONNECT and OPTIONS * name no path.
  if (rawTarget.includes("#") || method === "CONNECT") return null;
  if (rawTarget.charCodeAt(0) === 0x2f) return rawTarget;
  const absolute = absoluteTarget.exec(rawTarget);
  if (absolute === null || !hostPattern.test(absolute[1] ?? "")) return null;
  const path = absolute[2] ?? "";
  return path.startsWith("/") ? path : `/${path}`;
}

/** What makes this head one that two servers could read differently, or null. */
function refuse(lines: Lines, target: string | null): BadHead | null {
  if (target === null) return bad(statusBadRequest, "Cannot read the request target: send a path");
  if (lines.names.length > headersMax) {
    return bad(statusHeadersTooLarge, `Cannot read more than ${headersMax} headers`);
  }
  const hostIsNeeded = !lines.isOld || lines.hosts > 0;
  if (hostIsNeeded && (lines.hosts !== 1 || !isHost(lines.host ?? ""))) {
    return bad(statusBadRequest, "Cannot read the Host header: send one, with one host");
  }
  if (lines.lengths > 1 || (lines.length !== null && !wholeNumber.test(lines.length))) {
    return bad(
      statusBadRequest,
      "Cannot read the Content-Length header: send one, with one whole number",
    );
  }
  return refuseEncoding(lines);
}

function refuseEncoding({ encoding, length, isOld, expect }: Lines): BadHead | null {
  if (expect !== null && expect !== "100-continue") {
    return bad(417, "Cannot meet this expectation: only 100-continue is known");
  }
  if (encoding === null) return null;
  if (length !== null || isOld) {
    return bad(
      statusBadRequest,
      "Cannot tell where the body ends: send Content-Length or chunks, not both",
    );
  }
  const codings = encoding.toLowerCase();
  if (codings === "chunked") return null;
  if (hasToken(codings, "chunked")) {
    return bad(statusBadRequest, "Cannot tell where the body ends: chunked must come last, once");
  }
  return bad(statusNotImplemented, "Cannot read this Transfer-Encoding: only chunked is known");
}

/** An empty one is what a client sends whose URL has no authority. */
function isHost(host: string): boolean {
  return host === "" || hostPattern.test(host);
}

function hasToken(list: string, token: string): boolean {
  if (list === "") return false;
  return list.split(",").some((part) => fieldValue(part, 0, part.length) === token);
}

export function bad(status: number, message: string): BadHead {
  return { at: "bad", status, message, method: "", target: "", headers: noHeaders };
}

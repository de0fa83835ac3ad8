import { errorCodes, StreamFailure } from "./failure.ts";
import type { HeaderField } from "./hpack-table.ts";

/** The headers of a request, checked. */
export type RequestHead = {
  readonly method: string;
  readonly path: string;
  /** Without the ones above; names in lower case, repeated ones as they came. */
  readonly fields: readonly HeaderField[];
  /** Bytes that the body must have; null when nobody says. */
  readonly lengthBytes: number | null;
};

const requestPseudo = new Set([":method", ":path", ":scheme", ":authority"]);
/** They mean something for one connection only. @source RFC 9113, section 8.2.2. */
const connectionFields = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);
const badName = /[\u0000-\u0020A-Z\u007f-\u00ff:]/;
const badValue = /[\u0000\n\r]/;
const decimal = /^[0-9]{1,15}$/;

/**
 * Checks the fields of a request.
 * @throws StreamFailure "protocolError" for a malformed one. @source RFC 9113, sections 8.1 to 8.3.
 */
export function checkRequest(streamId: number, fields: readonly HeaderField[]): RequestHead {
  const pseudo = new Map<string, string>();
  const rest: HeaderField[] = [];
  let lengthBytes: number | null = null;
  for (const field of fields) {
    const [name, value] = field;
    if (name.startsWith(":")) {
      if (rest.length > 0) throw malformed(streamId, `${name} stands behind a regular field`);
      if (!requestPseudo.has(name)) throw malformed(streamId, `${name} is not for requests`);
      if (pseudo.has(name)) throw malformed(streamId, `${name} comes twice`);
      if (badValue.test(value)) throw malformed(streamId, `the value of ${name} has a line end`);
      pseudo.set(name, value);
      continue;
    }
    checkField(streamId, field);
    if (name === "content-length") lengthBytes = lengthOf(streamId, value, lengthBytes);
    rest.push(field);
  }
  const method = pseudo.get(":method");
  const path = pseudo.get(":path");
  if (method === undefined || method === "") throw malformed(streamId, "there is no :method");
  if (method === "CONNECT") return { method, path: "", fields: rest, lengthBytes };
  if (path === undefined || path === "") throw malformed(streamId, "there is no :path");
  if (!pseudo.has(":scheme")) throw malformed(streamId, "there is no :scheme");
  return { method, path, fields: rest, lengthBytes };
}

/** Checks the fields behind a body. @throws StreamFailure as `checkRequest`. */
export function checkTrailers(streamId: number, fields: readonly HeaderField[]): void {
  for (const field of fields) {
    if (field[0].startsWith(":")) throw malformed(streamId, `${field[0]} stands behind the body`);
    checkField(streamId, field);
  }
}

function checkField(streamId: number, [name, value]: HeaderField): void {
  if (name === "" || badName.test(name)) throw malformed(streamId, "a name has other characters");
  if (badValue.test(value)) throw malformed(streamId, `the value of ${name} has a line end`);
  if (isSpace(value.charCodeAt(0)) || isSpace(value.charCodeAt(value.length - 1))) {
    throw malformed(streamId, `the value of ${name} begins or ends with a space`);
  }
  if (connectionFields.has(name)) throw malformed(streamId, `${name} is of another protocol`);
  if (name === "te" && value !== "trailers") throw malformed(streamId, "te is not trailers");
}

/** Around a value there is none. @source RFC 9113, section 8.2.1. */
function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function lengthOf(streamId: number, value: string, known: number | null): number {
  const lengthBytes = Number(value);
  if (!decimal.test(value) || (known !== null && known !== lengthBytes)) {
    throw malformed(streamId, "the content-length is no number");
  }
  return lengthBytes;
}

export function malformed(streamId: number, why: string): StreamFailure {
  const message = `Cannot serve the request of stream ${streamId}: ${why}`;
  return new StreamFailure(errorCodes.protocolError, streamId, message);
}

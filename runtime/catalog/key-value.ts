import { Fault } from "../base/fault.ts";
import { jsonDepthMax } from "../base/limits.ts";
import { checkId } from "./id.ts";

/** The document of a key-value entry: a CAS id and the values recorded for it, in the order given. */
export type KeyValueDocument = {
  readonly casId: string;
  readonly values: readonly string[];
};

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/**
 * Reads the body of a key-value PUT: `{"cas_id": string, "entries": [{"value": string}, ...]}`. Unknown members are
 * ignored, wherever they are. The caller has limited the size.
 * @throws Fault "badRequest" on anything else, and on JSON nested deeper than 32.
 */
export function parseKeyValue(body: Uint8Array): KeyValueDocument {
  if (jsonDepth(body) > jsonDepthMax) {
    throw bad(`it is nested deeper than ${jsonDepthMax}`);
  }
  const document = parseJson(body);
  if (!isObject(document)) throw bad("it is not an object");
  const casId = member(document, "cas_id");
  if (typeof casId !== "string") throw bad(`"cas_id" is not a string`);
  checkId(casId, `"cas_id"`);
  const entries = member(document, "entries");
  if (!Array.isArray(entries)) throw bad(`"entries" is not an array`);
  return { casId, values: entries.map(readEntry) };
}

/** The one form in which a document is stored and answered; the same document gives the same bytes. */
export function encodeKeyValue({ casId, values }: KeyValueDocument): Uint8Array {
  const entries = values.map((value) => ({ value }));
  return new TextEncoder().encode(JSON.stringify({ cas_id: casId, entries }));
}

function readEntry(entry: unknown, place: number): string {
  const value = isObject(entry) ? member(entry, "value") : undefined;
  if (typeof value !== "string") throw bad(`"value" of entry ${place} is not a string`);
  return value;
}

/** Own members only: `__proto__` and its like are data, not a way into the prototype. */
function member(object: object, name: string): unknown {
  return Object.hasOwn(object, name) ? Reflect.get(object, name) : undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (cause) {
    throw bad("it is not JSON in UTF-8", cause);
  }
}

/** Deepest nesting of braces and brackets outside of strings; for text that is not JSON some number. */
function jsonDepth(body: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let isInString = false;
  for (let i = 0; i < body.length; i++) {
    const byte = body[i]!;
    if (isInString) {
      if (byte === backslash) i += 1;
      else if (byte === quote) isInString = false;
    } else if (byte === quote) isInString = true;
    else if (byte === openBrace || byte === openBracket) {
      depth += 1;
      if (depth > deepest) deepest = depth;
    } else if (byte === closeBrace || byte === closeBracket) depth -= 1;
  }
  return deepest;
}

function bad(reason: string, cause?: unknown): Fault {
  const message = `Cannot store the key-value document: ${reason}`;
  return new Fault("badRequest", message, cause === undefined ? {} : { cause });
}

import type { Fault } from "../base/fault.ts";
import { jsonDepthMax } from "../base/limits.ts";

/** Makes the fault for a document that is refused; the reason begins with "it". */
export type RefuseJson = (reason: string, cause?: unknown) => Fault;

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/**
 * Reads JSON that a client sent. The caller has limited the size.
 * @throws what `refuse` makes, for text that is not JSON in UTF-8 or is nested deeper than 32.
 */
export function parseJson(body: Uint8Array, refuse: RefuseJson): unknown {
  if (jsonDepth(body) > jsonDepthMax) throw refuse(`it is nested deeper than ${jsonDepthMax}`);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (cause) {
    throw refuse("it is not JSON in UTF-8", cause);
  }
}

export function isJsonObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Own members only: `__proto__` and its like are data, not a way into the prototype. */
export function jsonMember(object: object, name: string): unknown {
  return Object.hasOwn(object, name) ? Reflect.get(object, name) : undefined;
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

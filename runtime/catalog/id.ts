import { Fault } from "../base/fault.ts";
import { idBytesMax, scopeNameBytesMax } from "../base/limits.ts";
import { quoteText } from "./text.ts";

/** UTF-8 takes at most 3 bytes for a UTF-16 unit: below this many units no count of bytes is needed. */
const bytesPerUnitMax = 3;

/**
 * Characters that no id has. Slashes and NUL would let two names meet in one key; U+FFFD is what bytes that are not
 * UTF-8 have become on their way here, so two different ids could look the same.
 */
const forbiddenInId = /[/\\\0\uFFFD]/;
/** A namespace that is a REAPI instance name has slashes. */
const forbiddenInInstance = /[\\\0\uFFFD]/;

/**
 * Decodes one segment of a path, once.
 * @throws Fault "badRequest" when an escape is broken or the bytes are not UTF-8.
 */
export function decodeSegment(segment: string): string {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw bad(`Cannot decode ${quoteText(segment)}: use UTF-8 with percent-escapes`, cause);
  }
}

/**
 * Checks an id that has been decoded: 1 to 512 bytes of well-formed UTF-8, not `.` or `..`, no slash, backslash or NUL.
 * Two Unicode forms of one text are two ids; control characters are allowed.
 * @throws Fault "badRequest".
 */
export function checkId(id: string, what: string): string {
  return checkName(id, { what, bytesMax: idBytesMax, forbidden: forbiddenInId });
}

/** Checks a tenant or a namespace of a request, by the rule for ids. */
export function checkScopeName(name: string, what: string): string {
  return checkName(name, { what, bytesMax: scopeNameBytesMax, forbidden: forbiddenInId });
}

/** Checks a namespace that may be a REAPI instance name, so slashes are allowed. */
export function checkInstanceName(name: string, what: string): string {
  return checkName(name, { what, bytesMax: scopeNameBytesMax, forbidden: forbiddenInInstance });
}

type NameRule = { readonly what: string; readonly bytesMax: number; readonly forbidden: RegExp };

function checkName(name: string, { what, bytesMax, forbidden }: NameRule): string {
  if (name === "" || name === "." || name === "..") {
    throw bad(`Cannot use ${quoteText(name)} as ${what}: give 1 to ${bytesMax} bytes`);
  }
  if (name.length * bytesPerUnitMax > bytesMax && Buffer.byteLength(name) > bytesMax) {
    throw bad(
      `Cannot use ${quoteText(name)} as ${what}: ${Buffer.byteLength(name)} bytes exceed the limit of ${bytesMax}`,
    );
  }
  if (forbidden.test(name) || !name.isWellFormed()) {
    throw bad(
      `Cannot use ${quoteText(name)} as ${what}: slashes, backslashes, NUL and text that is not Unicode are not allowed`,
    );
  }
  return name;
}

function bad(message: string, cause?: unknown): Fault {
  return new Fault("badRequest", message, cause === undefined ? {} : { cause });
}

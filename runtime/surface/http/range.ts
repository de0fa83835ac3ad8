/** What a Range header asks for, in bytes; ends are exclusive. */
export type RangeWish =
  | { readonly at: "whole" }
  | { readonly at: "part"; readonly startBytes: number; readonly endBytes: number }
  | { readonly at: "unsatisfiable" };

const whole: RangeWish = { at: "whole" };
const unsatisfiable: RangeWish = { at: "unsatisfiable" };

/** One range of the only unit we know; several ranges, another unit or anything else means the whole. */
const oneRange = /^bytes[ \t]*=[ \t]*(\d*)[ \t]*-[ \t]*(\d*)$/i;

/**
 * Reads a Range header for a body of `sizeBytes`. Never throws: what cannot be read is answered whole.
 * @source surfaces.md 3.1; RFC 9110 section 14.
 */
export function parseRange(text: string, sizeBytes: number): RangeWish {
  const match = oneRange.exec(text.trim());
  if (match === null) return whole;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return whole;
  if (first === "") return suffix(Number(last), sizeBytes);
  const startBytes = Number(first);
  const endBytes = last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  if (startBytes >= sizeBytes || endBytes <= startBytes) return unsatisfiable;
  return { at: "part", startBytes, endBytes };
}

/** The last `lengthBytes`; more than there is means all. */
function suffix(lengthBytes: number, sizeBytes: number): RangeWish {
  if (lengthBytes === 0 || sizeBytes === 0) return unsatisfiable;
  return { at: "part", startBytes: Math.max(0, sizeBytes - lengthBytes), endBytes: sizeBytes };
}

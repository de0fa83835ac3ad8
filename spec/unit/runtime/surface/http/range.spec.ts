import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseRange, type RangeWish } from "../../../../../runtime/surface/http/range.ts";
import { tier } from "../../../../support/tier.ts";

const numRuns = { fast: 2_000, ci: 20_000, long: 1_000_000 }[tier()];

/** The same table read by hand, character by character. @source surfaces.md 3.1. */
function referee(text: string, sizeBytes: number): RangeWish {
  const compact = text.trim();
  if (compact.slice(0, 5).toLowerCase() !== "bytes") return { at: "whole" };
  const afterUnit = trimBlanks(compact.slice(5));
  if (!afterUnit.startsWith("=")) return { at: "whole" };
  const parts = afterUnit.slice(1).split("-").map(trimBlanks);
  const [first, last] = parts;
  if (parts.length !== 2 || first === undefined || last === undefined) return { at: "whole" };
  if (![first, last].every((part) => [...part].every((char) => char >= "0" && char <= "9"))) {
    return { at: "whole" };
  }
  if (first === "" && last === "") return { at: "whole" };
  const wanted: number[] = [];
  for (let place = 0; place < sizeBytes; place++) {
    const isIn =
      first === ""
        ? place >= sizeBytes - Number(last)
        : place >= Number(first) && (last === "" || place <= Number(last));
    if (isIn) wanted.push(place);
  }
  const [startBytes] = wanted;
  if (startBytes === undefined) return { at: "unsatisfiable" };
  return { at: "part", startBytes, endBytes: startBytes + wanted.length };
}

function trimBlanks(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, "");
}

test("any header is read as a second reader reads it", () => {
  const number = fc.oneof(
    fc.nat(30).map(String),
    fc.constantFrom("", "0", "00", "99999999999999999999", "x"),
  );
  const header = fc.oneof(
    fc.tuple(number, number).map(([first, last]) => `bytes=${first}-${last}`),
    fc
      .tuple(
        fc.constantFrom("bytes", "Bytes", "items", ""),
        fc.constantFrom("=", " = ", ""),
        number,
        number,
      )
      .map(([unit, equals, first, last]) => `${unit}${equals}${first} - ${last}`),
    fc.string({ unit: fc.constantFrom("b", "bytes", "=", "-", ",", "1", "0", " ", "\t") }),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(header, fc.nat(20), (text, sizeBytes) => {
      expect(parseRange(text, sizeBytes)).toEqual(referee(text, sizeBytes));
    }),
    { numRuns },
  );
});

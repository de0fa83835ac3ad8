import { expect, test } from "bun:test";
import fc from "fast-check";
import { Fault } from "../../../../runtime/base/fault.ts";
import { idBytesMax } from "../../../../runtime/base/limits.ts";
import { checkId, checkInstanceName, decodeSegment } from "../../../../runtime/catalog/id.ts";
import { quoteText } from "../../../../runtime/catalog/text.ts";
import { tier } from "../../../support/tier.ts";

const numRuns = { fast: 2_000, ci: 20_000, long: 1_000_000 }[tier()];

/** The value, or null for a refusal; anything else that is thrown fails the test. */
function orRefused<T>(run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    if (error instanceof Fault && error.code === "badRequest") return null;
    throw error;
  }
}

test("an id is accepted exactly when the rule says so", () => {
  const referee = (id: string): boolean => {
    const bytes = new TextEncoder().encode(id);
    if (new TextDecoder().decode(bytes) !== id || id.includes("\uFFFD")) return false;
    if (bytes.length < 1 || bytes.length > idBytesMax || id === "." || id === "..") return false;
    return !["/", "\\", "\0"].some((char) => id.includes(char));
  };
  const id = fc.oneof(
    fc.string({ unit: "binary", maxLength: 20 }),
    fc.string({
      unit: fc.constantFrom(".", "/", "\\", "\0", "a", "é", "\ud800", "\udc00", "\uFFFD"),
    }),
    fc
      .nat(3)
      .chain((unit) =>
        fc.integer({ min: 100, max: 600 }).map((n) => "aé€𐍈".at(unit * 1)?.repeat(n) ?? ""),
      ),
    fc.integer({ min: 126, max: 130 }).map((n) => "𐍈".repeat(n)),
  );
  fc.assert(
    fc.property(id, (text) => {
      const accepted = orRefused(() => checkId(text, "the id"));
      expect(accepted).toBe(referee(text) ? text : null);
    }),
    { numRuns },
  );
});

test("decoding undoes encoding once, and refuses what is not UTF-8", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
      expect(decodeSegment(encodeURIComponent(text))).toBe(text);
      const twice = encodeURIComponent(encodeURIComponent(text));
      expect(decodeSegment(twice)).toBe(encodeURIComponent(text));
    }),
    { numRuns },
  );
  for (const bad of ["%", "%f", "%zz", "%ff", "%c0%af", "%ed%a0%80", "a%"]) {
    expect(orRefused(() => decodeSegment(bad))).toBeNull();
  }
});

test("an instance name may have slashes, an id may not", () => {
  expect(checkInstanceName("bazel/x", "the namespace")).toBe("bazel/x");
  expect(orRefused(() => checkId("bazel/x", "the id"))).toBeNull();
});

test("a quoted text is short, printable and on one line, whatever it was", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
      const quoted = quoteText(text);
      expect(quoted).toMatch(/^"[\x20-\x7e]*"$/);
      expect(quoted.length).toBeLessThanOrEqual(6 * 67 + 2);
    }),
    { numRuns },
  );
});

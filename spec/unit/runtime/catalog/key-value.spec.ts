import { expect, test } from "bun:test";
import fc from "fast-check";
import { Fault } from "../../../../runtime/base/fault.ts";
import { encodeKeyValue, parseKeyValue } from "../../../../runtime/catalog/key-value.ts";
import { tier } from "../../../support/tier.ts";

const numRuns = { fast: 2_000, ci: 20_000, long: 1_000_000 }[tier()];
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

test("what is encoded is read back, and encoding is the same each time", () => {
  const document = fc.record({
    casId: fc.string({
      unit: fc.constantFrom("a", "Z", "~", "=", "é", "𐍈", " ", '"'),
      minLength: 1,
      maxLength: 40,
    }),
    values: fc.array(fc.string({ unit: "binary", maxLength: 30 }), { maxLength: 10 }),
  });
  fc.assert(
    fc.property(document, (given) => {
      const encoded = encodeKeyValue(given);
      expect(parseKeyValue(encoded)).toEqual(given);
      expect(encodeKeyValue(parseKeyValue(encoded))).toEqual(encoded);
    }),
    { numRuns },
  );
});

test("any bytes and any JSON are read or refused as a bad request, and never change a prototype", () => {
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.json().map(bytesOf),
    fc.jsonValue().map((entries) => bytesOf(JSON.stringify({ cas_id: "a", entries }))),
    fc.jsonValue().map((entry) => bytesOf(JSON.stringify({ cas_id: "a", entries: [entry] }))),
    fc
      .string({
        unit: fc.constantFrom(
          '{"cas_id":',
          '"a"',
          ',"entries":',
          "[",
          "]",
          "{",
          "}",
          '"',
          "\\",
          "\ud800",
        ),
      })
      .map(bytesOf),
  );
  fc.assert(
    fc.property(body, (bytes) => {
      try {
        const { casId, values } = parseKeyValue(bytes);
        expect(typeof casId).toBe("string");
        expect(values.every((value) => typeof value === "string")).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(Fault);
        expect((error as Fault).code).toBe("badRequest");
      }
      expect(Object.keys(Object.prototype)).toEqual([]);
    }),
    { numRuns },
  );
});

test("brackets inside of strings are no depth", () => {
  const value = `${"[".repeat(100)}\\"${"{".repeat(100)}`;
  const body = `{"cas_id":"a","entries":[{"value":"${value}"}]}`;
  expect(parseKeyValue(bytesOf(body)).values).toEqual([value.replaceAll('\\"', '"')]);
});

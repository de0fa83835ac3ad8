import { describe, expect, test } from "bun:test";
import { Fault } from "../../../../runtime/base/fault.ts";
import { moduleKey, parseCompletion, parsePartNumber } from "../../../../runtime/catalog/module.ts";

function codeOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (error) {
    return error instanceof Fault ? error.code : String(error);
  }
}

const complete = (text: string) => parseCompletion(new TextEncoder().encode(text));

describe("the key of a module", () => {
  test("joins category, hash and name", () => {
    const key = moduleKey({ category: "builds", hash: "hash-1", name: "Module.framework" });
    expect(key).toBe("builds/hash-1/Module.framework");
  });

  test("takes no part that could make two modules meet in one key", () => {
    for (const bad of ["", ".", "..", "a/b", "a\\b", "a\0b", "x".repeat(513)]) {
      for (const place of ["category", "hash", "name"]) {
        const parts = { category: "c", hash: "h", name: "n", [place]: bad };
        expect([bad, place, codeOf(() => moduleKey(parts))]).toEqual([bad, place, "badRequest"]);
      }
    }
  });

  test("takes as many bytes as a record does, and no more", () => {
    const parts = { category: "c".repeat(100), hash: "h".repeat(500), name: "n" };
    expect(moduleKey({ ...parts, name: "n".repeat(38) })).toHaveLength(640);
    expect(codeOf(() => moduleKey({ ...parts, name: "n".repeat(39) }))).toBe("badRequest");
  });
});

test("the number of a part is a whole number of 32 bits", () => {
  expect([parsePartNumber("0"), parsePartNumber("4294967295")]).toEqual([0, 4_294_967_295]);
  for (const text of [null, "", "-1", "1.5", "1e3", " 1", "0x1", "4294967296", "9".repeat(400)]) {
    expect([text, codeOf(() => parsePartNumber(text))]).toEqual([text, "badRequest"]);
  }
});

describe("the list of parts", () => {
  test("is read with its checksum or without one", () => {
    expect(complete(`{"parts":[2,7]}`)).toEqual({ parts: [2, 7], sha256: null });
    expect(complete(`{"parts":[],"checksum_sha256":null,"other":{}}`).sha256).toBeNull();
    const { sha256 } = complete(`{"parts":[1],"checksum_sha256":"${"0a".repeat(32)}"}`);
    expect([...(sha256 ?? [])]).toEqual(new Array(32).fill(10));
  });

  test.each([
    ["", "badRequest"],
    ["{", "badRequest"],
    [`{"parts":[1],"checksum_sha256":"${"0A".repeat(32)}"}`, "badRequest"],
    [`{"parts":[1],"checksum_sha256":"00"}`, "badRequest"],
    [`{"parts":[1],"checksum_sha256":7}`, "unprocessable"],
    ["[1,2]", "unprocessable"],
    ["null", "unprocessable"],
    ["{}", "unprocessable"],
    [`{"parts":"1,2"}`, "unprocessable"],
    [`{"parts":["1"]}`, "unprocessable"],
    [`{"parts":[1.5]}`, "unprocessable"],
    [`{"parts":[-1]}`, "unprocessable"],
    [`{"parts":[4294967296]}`, "unprocessable"],
    [`{"parts":[null]}`, "unprocessable"],
  ])("%j is refused as %s", (text, code) => {
    expect(codeOf(() => complete(text))).toBe(code);
  });
});

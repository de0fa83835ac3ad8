import { expect, test } from "bun:test";
import crypto from "node:crypto";
import {
  digestFunctions,
  digestOf,
  functionOfHash,
  startDigest,
} from "../../../../runtime/base/digest-function.ts";

test("a hash tells its function by its length, in lower-case hex only", () => {
  for (const digestFunction of digestFunctions) {
    const hash = crypto.createHash(digestFunction).update("x").digest("hex");
    expect(functionOfHash(hash)).toBe(digestFunction);
    expect(functionOfHash(hash.toUpperCase())).toBeNull();
    expect(functionOfHash(hash.slice(1))).toBeNull();
    expect(functionOfHash(`${hash.slice(1)}g`)).toBeNull();
    expect(functionOfHash(`${hash.slice(1)}\n`)).toBeNull();
  }
  expect(functionOfHash("")).toBeNull();
  expect(functionOfHash(crypto.createHash("md5").update("x").digest("hex"))).toBeNull();
});

test("digests in one piece and in several are those of another implementation", () => {
  const bytes = Buffer.alloc(100_000, "kura");
  for (const digestFunction of digestFunctions) {
    const expected = crypto.createHash(digestFunction).update(bytes).digest();
    expect(Buffer.from(digestOf(digestFunction, bytes)).equals(expected)).toBe(true);
    const running = startDigest(digestFunction);
    running.update(bytes.subarray(0, 77));
    running.update(bytes.subarray(77));
    expect(Buffer.from(running.digest()).equals(expected)).toBe(true);
  }
});

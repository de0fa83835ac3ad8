import { expect, test } from "bun:test";
import { digestFunctions, digestOf } from "../../../../runtime/base/digest-function.ts";
import {
  actionKey,
  actionResultBytesMax,
  blobKey,
  isEmptyHash,
} from "../../../../runtime/catalog/reapi.ts";

// These keys are on disk and on peers: they never change.
test("SHA-256 is the plain key, and every other function has its name in it", () => {
  expect(blobKey("sha256", "ab")).toBe("blob/ab");
  expect(actionKey("sha256", "ab")).toBe("action_cache/ab");
  expect(blobKey("sha1", "ab")).toBe("blob/sha1/ab");
  expect(actionKey("sha512", "ab")).toBe("action_cache/sha512/ab");
  expect(actionResultBytesMax).toBe(4_194_304);
});

test("the empty blob is known in every function", () => {
  for (const digestFunction of digestFunctions) {
    const hash = Buffer.from(digestOf(digestFunction, new Uint8Array(0))).toString("hex");
    expect(isEmptyHash(hash)).toBe(true);
    expect(isEmptyHash(hash.replace(/^./, (digit) => (digit === "0" ? "1" : "0")))).toBe(false);
  }
  expect(isEmptyHash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")).toBe(
    true,
  );
});

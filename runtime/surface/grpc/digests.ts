import {
  type DigestFunction,
  digestFunctions,
  functionOfHash,
} from "../../base/digest-function.ts";
import { isEmptyHash } from "../../catalog/reapi.ts";
import { quoteText } from "../../catalog/text.ts";
import type { WireDigest } from "../../wire/proto/digest.ts";
import type { RawDigest } from "../../wire/proto/raw-digest.ts";
import { bad } from "./requests.ts";

/** Numbers of `DigestFunction.Value` that we know. @source remote_execution.proto. */
export const digestFunctionNumbers: Readonly<Record<DigestFunction, number>> = {
  sha256: 1,
  sha1: 2,
  sha384: 5,
  sha512: 6,
};

/** Names of functions that clients may choose and that we do not have. */
const unknownFunctions: Readonly<Record<number, string>> = {
  3: "MD5",
  4: "VSO",
  7: "MURMUR3",
  8: "SHA256TREE",
  9: "BLAKE3",
  10: "GITSHA1",
};

/** The function that a request names; null when it leaves that to the length of the hash. */
export function functionOfNumber(value: number): DigestFunction | null {
  if (value === 0) return null;
  const found = digestFunctions.find((name) => digestFunctionNumbers[name] === value);
  if (found !== undefined) return found;
  const name = unknownFunctions[value] ?? `number ${value}`;
  throw bad(
    `Cannot use the digest function ${name}: this cache has SHA256, SHA1, SHA384 and SHA512; tell the client to use one of them`,
  );
}

/**
 * A digest of a request, checked.
 * @throws Fault "badRequest" when the hash is not lower-case hex of the function's length.
 */
export function checkRawDigest(raw: RawDigest, wanted: DigestFunction | null): WireDigest {
  const digestFunction = functionOfHash(raw.hash);
  if (digestFunction === null || (wanted !== null && wanted !== digestFunction)) {
    const expected = wanted === null ? "SHA-256, SHA-1, SHA-384 or SHA-512" : wanted;
    throw bad(
      `Cannot use the digest ${quoteText(raw.hash)}/${raw.sizeBytes}: give lower-case hex of ${expected}`,
    );
  }
  return checkSize({ digestFunction, hash: raw.hash, sizeBytes: raw.sizeBytes });
}

/** @throws Fault "badRequest" for no bytes under the hash of some. @source point 1 of the conformance list. */
export function checkSize(digest: WireDigest): WireDigest {
  if (digest.sizeBytes > 0 || isEmptyHash(digest.hash)) return digest;
  throw bad(`Cannot use the digest ${digest.hash}/0: no bytes have another hash`);
}

/** @throws Fault "badRequest" as `checkRawDigest`, and when there is none. */
export function needDigest(
  raw: RawDigest | null,
  wanted: DigestFunction | null,
  what: string,
): WireDigest {
  if (raw === null) throw bad(`Cannot serve the request: it has no ${what}`);
  return checkRawDigest(raw, wanted);
}

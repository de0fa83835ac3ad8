import { sha256 } from "./digest.ts";

/**
 * Digest functions that may name a blob, under their names in the Remote Execution API. All differ in length, so the
 * length of a hash tells its function. MD5 is left out: what it names can be forged.
 */
export const digestFunctions = ["sha1", "sha256", "sha384", "sha512"] as const;
export type DigestFunction = (typeof digestFunctions)[number];

const functionByHexChars: ReadonlyMap<number, DigestFunction> = new Map([
  [40, "sha1"],
  [64, "sha256"],
  [96, "sha384"],
  [128, "sha512"],
]);

/** 1 for the characters of lower-case hex: three times as fast as an expression, for the hashes of every call. */
const isHexDigit = new Uint8Array(128);
for (const digit of "0123456789abcdef") isHexDigit[digit.charCodeAt(0)] = 1;

/** The function of a hash in lower-case hex, or null when it is not the hash of any function we know. */
export function functionOfHash(hash: string): DigestFunction | null {
  const digestFunction = functionByHexChars.get(hash.length);
  return digestFunction !== undefined && isLowerHex(hash) ? digestFunction : null;
}

function isLowerHex(text: string): boolean {
  let isAll = 1;
  for (let i = 0; i < text.length; i++) isAll &= isHexDigit[text.charCodeAt(i)] ?? 0;
  return isAll === 1;
}

/** The digest of whole bytes. */
export function digestOf(digestFunction: DigestFunction, bytes: Uint8Array): Uint8Array {
  if (digestFunction === "sha256") return sha256(bytes);
  return new Uint8Array(new Bun.CryptoHasher(digestFunction).update(bytes).digest());
}

/** A digest in pieces. `digest` ends it. */
export type RunningDigest = { update(bytes: Uint8Array): void; digest(): Uint8Array };

export function startDigest(digestFunction: DigestFunction): RunningDigest {
  const hasher = new Bun.CryptoHasher(digestFunction);
  return {
    update: (bytes) => {
      hasher.update(bytes);
    },
    digest: () => new Uint8Array(hasher.digest()),
  };
}

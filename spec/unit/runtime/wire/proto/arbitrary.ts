import fc from "fast-check";
import type { DigestMessage } from "../../../../support/reapi-messages.ts";

/** A digest of any function that is known, or none at all in the form of an empty message. */
export const arbitraryDigest: fc.Arbitrary<DigestMessage> = fc
  .tuple(
    fc.constantFrom(40, 64, 96, 128),
    fc.constantFrom("0", "7", "a", "f"),
    fc.oneof(fc.nat(1_000), fc.constantFrom(0, 2 ** 31, 2 ** 32, 2 ** 53 - 1)),
  )
  .map(([hexChars, digit, sizeBytes]) => ({ hash: digit.repeat(hexChars), sizeBytes }));

/** One way to damage bytes: a flipped bit, a cut, an inserted or a repeated stretch. */
export const damaged: fc.Arbitrary<(bytes: Uint8Array) => Uint8Array> = fc
  .tuple(fc.constantFrom("flip", "cut", "insert", "repeat"), fc.nat(), fc.nat(), fc.nat(255))
  .map(([kind, first, second, byte]) => (bytes) => {
    if (bytes.length === 0) return bytes;
    const at = first % bytes.length;
    const end = at + (second % (bytes.length - at + 1));
    switch (kind) {
      case "flip": {
        const flipped = Uint8Array.from(bytes);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (second & 7));
        return flipped;
      }
      case "cut":
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
      case "insert":
        return Buffer.concat([bytes.subarray(0, at), Uint8Array.of(byte), bytes.subarray(at)]);
      default:
        return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
    }
  });

/** What a reader that throws makes of bytes; null when it cannot read them. */
export function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

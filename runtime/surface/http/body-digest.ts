import { type DigestFunction, digestOf } from "../../base/digest-function.ts";
import { Fault } from "../../base/fault.ts";

/** The digest that a path names its content by. */
export type NamedDigest = {
  readonly digestFunction: DigestFunction;
  readonly bytes: Uint8Array;
};

/** The digest that a body must have: the client declared it, or the path names it. */
export type WantedDigest = NamedDigest & { readonly by: "header" | "path" };

const titles: Readonly<Record<DigestFunction, string>> = {
  sha1: "SHA-1",
  sha256: "SHA-256",
  sha384: "SHA-384",
  sha512: "SHA-512",
};

/** @throws Fault as `checkDigest`. */
export function checkBytes(bytes: Uint8Array, wanted: WantedDigest): void {
  checkDigest(digestOf(wanted.digestFunction, bytes), wanted);
}

/**
 * Compares the digest of a body with the wanted one.
 * @throws Fault "checksumMismatch" (422) when the client had declared it in a header; "badRequest" (400) when the path
 * names the body by it.
 */
export function checkDigest(actual: Uint8Array, wanted: WantedDigest): void {
  if (Buffer.compare(actual, wanted.bytes) === 0) return;
  const [actualHex, wantedHex] = [actual, wanted.bytes].map((bytes) =>
    Buffer.from(bytes).toString("hex"),
  );
  const title = titles[wanted.digestFunction];
  if (wanted.by === "header") {
    throw new Fault(
      "checksumMismatch",
      `Cannot store the body: its ${title} is ${actualHex}, but ${wantedHex} was declared`,
    );
  }
  throw new Fault(
    "badRequest",
    `Cannot store the body under the ${title} ${wantedHex}: its own is ${actualHex}`,
  );
}

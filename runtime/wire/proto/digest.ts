import { type DigestFunction, functionOfHash } from "../../base/digest-function.ts";
import type { WireReader } from "./wire-reader.ts";

/** A `Digest` of the Remote Execution API whose hash is lower-case hex of a function we know. Sizes are 0 to 2^53-1. */
export type WireDigest = {
  readonly digestFunction: DigestFunction;
  readonly hash: string;
  readonly sizeBytes: number;
};

/** SHA-512 in hex. */
const hashCharsMax = 128;

/**
 * Reads the field at which the walk stands as a `Digest`. Null for an empty message, which some encoders write for a
 * digest that is not set. A digest that is not well-formed breaks the walk; null then, too.
 */
export function readDigest(reader: WireReader): WireDigest | null {
  let hash = "";
  let sizeBytes = 0;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 1) hash = reader.text(hashCharsMax);
    else if (reader.field === 2) sizeBytes = reader.number();
    else reader.passOver();
  }
  reader.leave(outer);
  if (reader.isBroken || (hash === "" && sizeBytes === 0)) return null;
  const digestFunction = functionOfHash(hash);
  if (digestFunction === null) {
    reader.breakOff();
    return null;
  }
  return { digestFunction, hash, sizeBytes };
}

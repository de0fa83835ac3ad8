import type { WireReader } from "./wire-reader.ts";
import type { WireWriter } from "./wire-writer.ts";

/** A `Digest` as a request brings it, unchecked: the hash is any text of up to 256 characters, the size 0 to 2^53-1. */
export type RawDigest = { readonly hash: string; readonly sizeBytes: number };

const digestFields = { hash: 1, sizeBytes: 2 } as const;
/** Longer than any hash, short enough to be quoted. */
const hashCharsMax = 256;

/** Reads the field at which the walk stands. */
export function readRawDigest(reader: WireReader): RawDigest {
  let hash = "";
  let sizeBytes = 0;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === digestFields.hash) hash = reader.text(hashCharsMax);
    else if (reader.field === digestFields.sizeBytes) sizeBytes = reader.number();
    else reader.passOver();
  }
  reader.leave(outer);
  return { hash, sizeBytes };
}

export function writeRawDigest(writer: WireWriter, field: number, digest: RawDigest): void {
  const start = writer.begin(field);
  writer.text(digestFields.hash, digest.hash);
  writer.number(digestFields.sizeBytes, digest.sizeBytes);
  writer.end(start);
}

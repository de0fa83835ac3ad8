import {
  chainStart,
  encodeFileHeader,
  type FileHeader,
  filePageBytes,
  fileSeed,
} from "../../runtime/store/format.ts";
import { bodyDigest, GroupBuffer } from "../../runtime/store/group.ts";
import { makeScope, nameArtifact } from "../../runtime/store/identity.ts";
import { recordTypes } from "../../runtime/store/record.ts";

export type SegmentRecord = {
  readonly key: string;
  readonly seq: number;
  readonly startBytes: number;
  readonly endBytes: number;
};

export type BuiltSegment = {
  readonly bytes: Buffer;
  readonly header: FileHeader;
  readonly seed: number;
  /** CRC of the file header, where the chain begins. */
  readonly chain: number;
  readonly records: readonly SegmentRecord[];
};

/** A segment as the committer would have written it: groups of artifacts by key and body. */
export function buildSegment(
  groups: readonly (readonly { readonly key: string; readonly body: Uint8Array }[])[],
  { storeId = new Uint8Array(16).fill(7), file = 1 } = {},
): BuiltSegment {
  const header: FileHeader = {
    formatVersion: 1,
    storeId,
    file,
    predecessor: file - 1,
    predecessorEndBytes: 0,
    createdMs: 0,
    burntEnds: [],
  };
  const seed = fileSeed(storeId, file);
  const chain = chainStart(header);
  const parts: Uint8Array[] = [encodeFileHeader(header)];
  const records: SegmentRecord[] = [];
  const buffer = new GroupBuffer();
  let [at, last, seq] = [filePageBytes, chain, 0];
  for (const group of groups) {
    buffer.reset(at, last, seed);
    for (const { key, body } of group) {
      seq += 1;
      const startBytes = at + buffer.lengthBytes;
      add(buffer, { key, body, seq });
      records.push({ key, seq, startBytes, endBytes: at + buffer.lengthBytes });
    }
    parts.push(Uint8Array.from(buffer.bytes()));
    at += buffer.lengthBytes;
    last = buffer.chain;
  }
  return { bytes: Buffer.concat(parts), header, seed, chain, records };
}

function add(
  buffer: GroupBuffer,
  { key, body, seq }: { key: string; body: Uint8Array; seq: number },
) {
  const { id } = nameArtifact("xcode", makeScope("tenant", "space"), key);
  const names = { tenant: "tenant", namespace: "space", key };
  const facts = { type: recordTypes.put, flags: 0, kind: 2, producer: 1, bodyBytes: body.length };
  buffer.add(
    { ...facts, id, seq, version: seq * 10, origin: 1, digest: bodyDigest(body) },
    { ...names, sha256: null, writer: "", attributes: {}, place: null },
    body,
  );
}

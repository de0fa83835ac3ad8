import { readDigest, type WireDigest } from "./digest.ts";
import { WireReader } from "./wire-reader.ts";

/** Fields of `Directory` and `DirectoryNode`. @source remote_execution.proto, version 2. */
const directoryFields = { directories: 2 } as const;
const nodeFields = { digest: 2 } as const;

/** The directories that a `Directory` names, in its order; null when the bytes are none. Never throws. */
export function childDirectories(bytes: Uint8Array): WireDigest[] | null {
  const reader = new WireReader(bytes);
  const children: WireDigest[] = [];
  while (reader.next()) {
    if (reader.field !== directoryFields.directories) {
      reader.passOver();
      continue;
    }
    let digest: WireDigest | null = null;
    const outer = reader.enter();
    while (reader.next()) {
      if (reader.field === nodeFields.digest) digest = readDigest(reader);
      else reader.passOver();
    }
    reader.leave(outer);
    if (digest !== null) children.push(digest);
  }
  return reader.isBroken ? null : children;
}

import fs from "node:fs";
import { realDisk } from "../../runtime/base/real-disk.ts";
import { StoreFiles } from "../../runtime/store/files.ts";
import { recordHeaderBytes } from "../../runtime/store/record.ts";
import { kura } from "../contract/cli/run.ts";

/** An artifact in the data directory of a stopped node, named as `kura inspect artifact` wants it. */
export type StoredArtifact = {
  readonly dataDir: string;
  readonly producer: string;
  readonly namespace: string;
  readonly key: string;
};

/** Changes one byte of a body in a segment. */
export async function flipByteOf(artifact: StoredArtifact): Promise<void> {
  const { path, bodyAt } = await placeOf(artifact, "segment");
  const handle = fs.openSync(path, "r+");
  const byte = new Uint8Array(1);
  fs.readSync(handle, byte, 0, 1, bodyAt);
  byte[0] = (byte[0] ?? 0) ^ 1;
  fs.writeSync(handle, byte, 0, 1, bodyAt);
  fs.closeSync(handle);
}

/** Removes the file that a body has for itself. */
export async function removeFileOf(artifact: StoredArtifact): Promise<void> {
  fs.rmSync((await placeOf(artifact, "large")).path);
}

/** @throws Error when the artifact is not there, or Error ENOENT when it lies in the other kind of file. */
async function placeOf(
  { dataDir, producer, namespace, key }: StoredArtifact,
  kind: "segment" | "large",
): Promise<{ path: string; bodyAt: number }> {
  const name = ["--producer", producer, "--namespace", namespace, "--key", key];
  const shown = await kura(["inspect", "artifact", ...name, "--data-dir", dataDir]);
  if (shown.code !== 0) throw new Error(`Cannot inspect ${producer} ${key}: ${shown.stderr}`);
  const place = JSON.parse(shown.stdout) as Record<
    "file" | "offsetBytes" | "metadataBytes",
    number
  >;
  const path = new StoreFiles(realDisk, dataDir).pathOf(place.file, kind === "large");
  if (!fs.existsSync(path)) throw new Error(`The body of ${producer} ${key} is not in ${path}`);
  return { path, bodyAt: place.offsetBytes + recordHeaderBytes + place.metadataBytes };
}

import { systemClock } from "../runtime/base/clock.ts";
import { systemRandom } from "../runtime/base/random.ts";
import { realDisk } from "../runtime/base/real-disk.ts";
import type { ArtifactName } from "../runtime/store/identity.ts";
import {
  OfflineStore,
  type RebuildFigures,
  rebuildIndex as rebuild,
  type VerifyFigures,
} from "../runtime/store/inspect.ts";
import type { Progress } from "./view/progress.ts";
import type { Facts } from "./view/text.ts";

type Tell = (progress: Progress) => void;

const seams = { disk: realDisk, clock: systemClock, random: systemRandom };

/** Figures of a stopped node's store. The files are only read. */
export async function readStore(dataDir: string): Promise<Facts> {
  return withStore(dataDir, (store) => store.figures());
}

/** The files of a stopped node's log. */
export async function readSegments(dataDir: string): Promise<readonly Facts[]> {
  return withStore(dataDir, (store) => store.segments());
}

/** One artifact of a stopped node; null when there is none. */
export async function readArtifact(dataDir: string, name: ArtifactName): Promise<Facts | null> {
  return withStore(dataDir, (store) => {
    const manifest = store.find(name);
    return manifest === null ? null : { ...manifest, id: Buffer.from(manifest.id).toString("hex") };
  });
}

/** Reads every artifact and compares it with its checksums. */
export async function verifyFiles(dataDir: string, tell: Tell): Promise<VerifyFigures> {
  return withStore(dataDir, (store) =>
    store.verify((doneBytes, totalBytes) => tell({ doneBytes, totalBytes })),
  );
}

/** Makes the index anew. The caller holds the writer lock. */
export async function rebuildIndex(dataDir: string, tell: Tell): Promise<RebuildFigures> {
  return rebuild(dataDir, seams, (doneBytes, totalBytes) => tell({ doneBytes, totalBytes }));
}

function withStore<T>(dataDir: string, use: (store: OfflineStore) => T): T {
  const store = new OfflineStore(dataDir, seams);
  try {
    return use(store);
  } finally {
    store.close();
  }
}

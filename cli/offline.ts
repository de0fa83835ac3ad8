import { systemClock } from "../runtime/base/clock.ts";
import { systemRandom } from "../runtime/base/random.ts";
import { realDisk } from "../runtime/base/real-disk.ts";
import { describeSpace, type SpaceReport, unitsListed } from "../runtime/catalog/space-report.ts";
import type { ArtifactName } from "../runtime/store/identity.ts";
import { OfflineStore, rebuildIndex, type VerifyFigures } from "../runtime/store/inspect.ts";
import type { Progress } from "./view/progress.ts";
import type { Facts } from "./view/text.ts";

/** The one file of the command line that reads a data directory without its node. Nothing but `rebuild` writes. */
const seams = { disk: realDisk, clock: systemClock, random: systemRandom };

type Tell = (progress: Progress) => void;

/** Figures of the store. */
export async function readStore(dataDir: string): Promise<Facts> {
  return { ...(await withStore(dataDir, (store) => store.figures())) };
}

/** The files of the log. */
export async function readSegments(dataDir: string): Promise<readonly Facts[]> {
  return [...(await withStore(dataDir, (store) => store.segments()))];
}

/** Who fills the store, as far as its files tell: nobody counted reads, and no capacity is set. */
export async function readSpace(dataDir: string, limit: number): Promise<SpaceReport> {
  return withStore(dataDir, async (store) => {
    const census = await store.census();
    return describeSpace({
      wallMs: systemClock.wallMs(),
      usage: {
        usedBytes: store.files.usedBytes,
        capacityBytes: null,
        freeBytes: realDisk.freeBytes(dataDir),
      },
      census,
      limit,
      names: await store.nameHoldings(census, limit),
      reads: null,
      nextToGo: store.nextToGo(unitsListed),
    });
  });
}

/** One artifact; null when there is none. */
export async function readArtifact(dataDir: string, name: ArtifactName): Promise<Facts | null> {
  const manifest = await withStore(dataDir, (store) => store.find(name));
  if (manifest === null) return null;
  return {
    producer: name.producer,
    tenant: name.scope.tenant,
    namespace: name.scope.namespace,
    key: name.key,
    ...manifest,
    id: Buffer.from(manifest.id).toString("hex"),
  };
}

/** Reads every artifact and compares it with its checksums. Works beside a running node too. */
export async function verifyFiles(dataDir: string, tell: Tell): Promise<VerifyFigures> {
  return withStore(dataDir, (store) =>
    store.verify((doneBytes, totalBytes) => tell({ doneBytes, totalBytes })),
  );
}

/** Makes the index anew. The caller holds the writer lock. */
export async function rebuildFromFiles(dataDir: string, tell: Tell): Promise<Facts> {
  return rebuildIndex(dataDir, seams, (doneBytes, totalBytes) => tell({ doneBytes, totalBytes }));
}

async function withStore<T>(
  dataDir: string,
  use: (store: OfflineStore) => T | Promise<T>,
): Promise<T> {
  const store = new OfflineStore(dataDir, seams);
  try {
    return await use(store);
  } finally {
    store.close();
  }
}

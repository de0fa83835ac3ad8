import type { Disk } from "../base/disk.ts";
import type { StoreFiles } from "./files.ts";
import type { StoreOptions } from "./open.ts";
import { SharedSync } from "./shared-sync.ts";
import type { Space } from "./space.ts";
import { LargeStage } from "./stage.ts";
import { StageFiles } from "./stage-file.ts";
import type { StallWatch } from "./stall.ts";
import type { Stage } from "./store.ts";

export type StagingOptions = Pick<StoreOptions, "dataDir" | "descriptors" | "scratch"> & {
  readonly disk: Disk;
  readonly files: StoreFiles;
  readonly space: Space;
  readonly stalls: StallWatch;
};

/** Where bodies come in that get files of their own, and what they share. */
export class Staging {
  readonly stages: StageFiles;
  readonly #options: StagingOptions;
  readonly #sync: SharedSync;

  constructor(options: StagingOptions) {
    const { disk, dataDir, descriptors } = options;
    this.#options = options;
    this.stages = new StageFiles(disk, descriptors ?? null);
    this.#sync = new SharedSync(() => disk.syncFolderLater(`${dataDir}/large`));
  }

  begin(storeId: Uint8Array, expectedBytes: number): Stage {
    const { files, space, stalls, scratch } = this.#options;
    return new LargeStage({
      files,
      stages: this.stages,
      space,
      stalls,
      scratch: scratch?.staging ?? null,
      storeId,
      expectedBytes,
      syncFolder: () => this.#sync.sync(),
    });
  }
}

import { assert } from "../base/assert.ts";
import { crc32 } from "../base/digest.ts";
import type { DiskFile } from "../base/disk.ts";
import type { PartStage } from "./multipart.ts";

/** A part whose bytes have all come. */
export type ArrivedPart = {
  readonly file: number;
  readonly sizeBytes: number;
  readonly crc: number;
};

export type PartIntakeOptions = {
  readonly file: number;
  readonly handle: DiskFile;
  /** The most that may come; as much is set aside for it. */
  readonly bytesMax: number;
  /** Makes it a part of its upload. Throws when it cannot be one. */
  readonly adopt: (part: ArrivedPart) => Promise<void>;
  /** Called once, when nothing has to be set aside for it any more. `isAdopted`: a row names the file. */
  readonly release: (isAdopted: boolean) => void;
};

/** Writes one part into a file that nobody knows of until it is whole. */
export class PartIntake implements PartStage {
  readonly #options: PartIntakeOptions;
  #sizeBytes = 0;
  #crc = 0;
  #state: "open" | "closed" | "ended" = "open";

  constructor(options: PartIntakeOptions) {
    this.#options = options;
  }

  async write(chunk: Uint8Array): Promise<void> {
    assert(this.#state === "open", "a part is open while it is written");
    const at = this.#sizeBytes;
    this.#sizeBytes += chunk.length;
    assert(this.#sizeBytes <= this.#options.bytesMax, "a part is as large as was asked for");
    this.#crc = crc32(chunk, this.#crc);
    await this.#options.handle.writeLater(chunk, at);
  }

  async finish(): Promise<void> {
    assert(this.#state === "open", "a part is finished once");
    const { file, handle, adopt, release } = this.#options;
    // 1. All bytes are in the file by now. A crash here leaves a file that no row names: the next start removes it.
    this.#state = "closed";
    handle.close();
    // 2. The row, in one transaction with the end of the part before it. From here on it is a part of the upload.
    await adopt({ file, sizeBytes: this.#sizeBytes, crc: this.#crc });
    this.#state = "ended";
    release(true);
  }

  discard(): void {
    if (this.#state === "ended") return;
    if (this.#state === "open") this.#options.handle.close();
    this.#state = "ended";
    this.#options.release(false);
  }
}

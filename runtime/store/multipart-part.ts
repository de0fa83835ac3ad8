import { assert } from "../base/assert.ts";
import { crc32 } from "../base/digest.ts";
import { Fault } from "../base/fault.ts";
import { DiskWaits } from "./disk-waits.ts";
import type { PartStage } from "./multipart.ts";
import type { PartRoom } from "./multipart-space.ts";
import type { StageFile } from "./stage-file.ts";
import type { StallWatch } from "./stall.ts";

/** A part whose bytes have all come. */
export type ArrivedPart = {
  readonly file: number;
  readonly sizeBytes: number;
  readonly crc: number;
};

export type PartIntakeOptions = {
  readonly file: number;
  readonly handle: StageFile;
  /** The most that may come; as much is set aside for it. */
  readonly bytesMax: number;
  readonly room: Pick<PartRoom, "ready">;
  readonly stalls: StallWatch;
  /** Makes it a part of its upload. Throws when it cannot be one. */
  readonly adopt: (part: ArrivedPart) => Promise<void>;
  /** Called once, when nothing has to be set aside for it any more. `isAdopted`: a row names the file. */
  readonly release: (isAdopted: boolean) => void;
};

/** Writes one part into a file that nobody knows of until it is whole. */
export class PartIntake implements PartStage {
  readonly #options: PartIntakeOptions;
  readonly #waits: DiskWaits;
  #sizeBytes = 0;
  #crc = 0;
  #state: "open" | "closed" | "ended" = "open";
  onRoomWait: (isWaiting: boolean) => void = () => {};

  constructor(options: PartIntakeOptions) {
    this.#options = options;
    this.#waits = new DiskWaits(options.stalls);
  }

  async write(chunk: Uint8Array): Promise<void> {
    assert(this.#state === "open", "a part is open while it is written");
    if (this.#sizeBytes === 0) await this.#takeRoom();
    const at = this.#sizeBytes;
    this.#sizeBytes += chunk.length;
    assert(this.#sizeBytes <= this.#options.bytesMax, "a part is as large as was asked for");
    this.#crc = crc32(chunk, this.#crc);
    await this.#waits.wait(this.#options.handle.writeLater(chunk, at), chunk.length);
  }

  async finish(): Promise<void> {
    assert(this.#state === "open", "a part is finished once");
    const { file, handle, adopt, release } = this.#options;
    if (this.#sizeBytes === 0) await this.#takeRoom();
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
    const isOpen = this.#state === "open";
    this.#state = "ended";
    this.#waits.afterwards(() => {
      if (isOpen) this.#options.handle.close();
      this.#options.release(false);
    });
  }

  /** @throws Fault "full" when no room was made in time, "clientClosed" when the part was given up meanwhile. */
  async #takeRoom(): Promise<void> {
    this.onRoomWait(true);
    try {
      await this.#options.room.ready;
    } finally {
      this.onRoomWait(false);
    }
    if (this.#state === "open") return;
    throw new Fault("clientClosed", "The part was given up while it waited for room");
  }
}

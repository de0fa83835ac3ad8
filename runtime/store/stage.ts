import { assert } from "../base/assert.ts";
import type { ByteBudget } from "../base/budget.ts";
import { Fault } from "../base/fault.ts";
import { MiB } from "../base/units.ts";
import { DiskWaits } from "./disk-waits.ts";
import type { StoreFiles } from "./files.ts";
import { filePageBytes, fileSeed } from "./format.ts";
import { type ArtifactName, producers } from "./identity.ts";
import { encodeLargeHeader, largeDigest, PieceCrcs } from "./large-file.ts";
import type { OpenEndedBody } from "./open-ended.ts";
import { refuseScratch } from "./scratch.ts";
import type { Reservation, Space, Take } from "./space.ts";
import type { StageFile, StageFiles } from "./stage-file.ts";
import type { StallWatch } from "./stall.ts";
import { type BodyFacts, kinds, type Stage, type StagedBody } from "./store.ts";

/** The account is asked again each time this much has arrived: a body of unknown length must not fill the disk. */
const spaceStepBytes = 16 * MiB;
/** Of the capacity, a step is at most this part. */
const stepsMin = 32;

export type StageOptions = {
  readonly files: StoreFiles;
  readonly stages: StageFiles;
  readonly space: Space;
  readonly stalls: StallWatch;
  /** Disk space for what is not stored yet; null for no end to it. */
  readonly scratch: ByteBudget | null;
  readonly storeId: Uint8Array;
  readonly expectedBytes: number;
  /** Makes the folder of large files durable, one sync for all that wait. */
  readonly syncFolder: () => Promise<void>;
};

/** Streams a body into a file of its own behind a page that is written last. */
export class LargeStage implements Stage {
  readonly #options: StageOptions;
  readonly #number: number;
  readonly #file: StageFile;
  readonly #crcs: PieceCrcs;
  readonly #seed: number;
  readonly #waits: DiskWaits;
  /** Room for what comes, from the first bytes on: reserved before it is there. */
  #room: Reservation | null = null;
  #roomEndBytes = 0;
  /** Room that is waited for. */
  #taking: Take | null = null;
  /** Of a body of unknown length. */
  readonly #openEnded: OpenEndedBody | null;
  #unsyncedBytes = 0;
  /** A sync under way; one that failed stays, for whoever waits for it next. */
  #syncing: Promise<void> | null = null;
  /** Held of the scratch space, until the body is stored or its file is gone. */
  #scratchBytes = 0;
  #state: "open" | "finished" | "discarded" = "open";
  onRoomWait: (isWaiting: boolean) => void = () => {};

  constructor(options: StageOptions) {
    const refusal = options.space.refusePut(options.expectedBytes);
    if (refusal !== null) throw refusal;
    this.#options = options;
    this.#waits = new DiskWaits(options.stalls);
    this.#takeScratch(options.expectedBytes);
    this.#openEnded = options.expectedBytes > 0 ? null : options.space.openEnded.begin();
    this.#number = options.files.takeNumber();
    this.#file = this.#create();
    this.#seed = fileSeed(options.storeId, this.#number);
    this.#crcs = new PieceCrcs(this.#seed);
  }

  get sizeBytes(): number {
    return this.#crcs.totalBytes;
  }

  async write(chunk: Uint8Array): Promise<void> {
    assert(this.#state === "open", "a stage is open while it is written");
    if (this.#needsRoom(chunk.length)) await this.#takeRoom(chunk.length);
    const at = filePageBytes + this.#crcs.totalBytes;
    this.#crcs.update(chunk);
    await this.#waits.wait(this.#file.writeLater(chunk, at), chunk.length);
    this.#unsyncedBytes += chunk.length;
    this.#options.files.unsynced.note(chunk.length);
    if (this.#options.files.unsynced.isDue(this.#unsyncedBytes)) await this.#syncBehind();
  }

  endIntake(): void {
    // Of a body of known length all was meant for what has come.
    if (this.#openEnded === null) return;
    this.#options.files.noteWhole(this.#number);
    this.#openEnded.end();
    this.#room?.giveBack();
  }

  async finish(name: ArtifactName, facts: BodyFacts): Promise<StagedBody> {
    assert(this.#state === "open", "a stage is finished once");
    const { storeId, files, syncFolder } = this.#options;
    const sizeBytes = this.#crcs.totalBytes;
    const table = this.#crcs.finish();
    const digest = largeDigest(sizeBytes, table);
    // 1. The CRC table behind the body. A crash here leaves a file without a first page: an aborted upload.
    if (table.length > 0) {
      await this.#waits.wait(this.#file.writeLater(table, filePageBytes + sizeBytes), table.length);
    }
    // 2. The first page. A crash here leaves a whole file that no record names.
    const page = encodeLargeHeader({
      storeId,
      file: this.#number,
      bodyBytes: sizeBytes,
      digest,
      seed: this.#seed,
      kind: kinds[facts.kind],
      producer: producers[name.producer],
      id: name.id,
      metadata: {
        tenant: name.scope.tenant,
        namespace: name.scope.namespace,
        key: name.key,
        sha256: facts.sha256,
        writer: facts.writer,
        attributes: facts.attributes,
        place: null,
      },
    });
    await this.#waits.wait(this.#file.writeLater(page, 0), page.length);
    // 3. File, then folder. Only now may a record name it.
    await this.#syncing;
    await this.#sync();
    await this.#waits.wait(syncFolder(), 0);
    this.#state = "finished";
    this.#file.close();
    files.setLargeBytes(this.#number, filePageBytes + sizeBytes + table.length);
    files.noteWhole(this.#number);
    this.#room?.giveBack();
    this.#openEnded?.end();
    this.#giveScratch();
    return { file: this.#number, sizeBytes, digest };
  }

  /** What was written goes to the disk while more comes; the sync before it is waited for. */
  async #syncBehind(): Promise<void> {
    await this.#syncing;
    this.#syncing = this.#sync().then(() => {
      this.#syncing = null;
    });
    this.#syncing.catch(() => {});
  }

  async #sync(): Promise<void> {
    const bytes = this.#unsyncedBytes;
    this.#unsyncedBytes = 0;
    try {
      await this.#waits.wait(this.#file.syncLater(), bytes);
    } finally {
      this.#options.files.unsynced.note(-bytes);
    }
  }

  readBack(): Uint8Array {
    assert(this.#state === "open", "a stage is read back before it is finished");
    const bytes = new Uint8Array(this.#crcs.totalBytes);
    const count = this.#file.read(bytes, filePageBytes);
    if (count !== bytes.length) {
      const message = `Cannot read back ${bytes.length} bytes of an upload: got ${count}`;
      throw new Fault("internal", message);
    }
    // The file was never synced, so nobody has been told if it could not be written.
    const again = new PieceCrcs(this.#seed);
    again.update(bytes);
    if (Buffer.compare(again.finish(), this.#crcs.finish()) === 0) return bytes;
    throw new Fault("internal", "Cannot read back an upload: its bytes have changed on disk");
  }

  park(): void {
    this.#file.park();
  }

  discard(): void {
    if (this.#state === "discarded") return;
    const isOpen = this.#state === "open";
    this.#options.files.unsynced.note(-this.#unsyncedBytes);
    this.#unsyncedBytes = 0;
    this.#state = "discarded";
    this.#taking?.cancel();
    // Not before its last call has come back: the system may have given the number of the file to another one by then.
    this.#waits.afterwards(() => {
      if (isOpen) this.#file.close();
      this.#room?.giveBack();
      // Whether the file goes or not: it waits for nothing more.
      this.#openEnded?.end();
      this.#options.files.removeLarge(this.#number);
      // Not before the file is gone: one that cannot be removed goes on counting.
      this.#giveScratch();
    });
  }

  #create(): StageFile {
    const { stages, files } = this.#options;
    try {
      return stages.adopt(files.createLarge(this.#number));
    } catch (error) {
      this.#giveScratch();
      throw error;
    }
  }

  /** @throws Fault "overloaded" when others hold what there is. */
  #takeScratch(bytes: number): void {
    const refusal = refuseScratch(this.#options.scratch, bytes);
    if (refusal !== null) throw refusal;
    this.#scratchBytes += bytes;
  }

  #giveScratch(): void {
    this.#options.scratch?.give(this.#scratchBytes);
    this.#scratchBytes = 0;
  }

  /** Room for a body of known length is taken as a whole, for one of unknown length in steps. */
  #needsRoom(addedBytes: number): boolean {
    const { expectedBytes, files } = this.#options;
    if (expectedBytes > 0) return this.#room === null;
    const endBytes = this.#crcs.totalBytes + addedBytes;
    if (endBytes > this.#scratchBytes) this.#takeScratch(endBytes - this.#scratchBytes);
    files.setLargeBytes(this.#number, filePageBytes + endBytes);
    this.#room?.shrink(addedBytes);
    return endBytes > this.#roomEndBytes;
  }

  async #takeRoom(addedBytes: number): Promise<void> {
    const { expectedBytes, space } = this.#options;
    // Given back first: who holds room while it waits for more could wait for ever.
    this.#room?.giveBack();
    this.#room = null;
    const stepBytes = Math.min(spaceStepBytes, Math.floor(space.capacityBytes / stepsMin));
    const bytes = expectedBytes > 0 ? expectedBytes : stepBytes;
    const refusal = space.refusePut(bytes);
    if (refusal !== null) throw refusal;
    const taking = this.#openEnded?.take(bytes) ?? space.take(bytes);
    this.#taking = taking;
    if (taking.isAwaited) this.onRoomWait(true);
    try {
      this.#room = await taking.room;
    } finally {
      if (taking.isAwaited) this.onRoomWait(false);
    }
    this.#taking = null;
    if (this.#state !== "open") {
      this.#room.giveBack();
      throw new Fault("clientClosed", "The upload was given up while it waited for room");
    }
    this.#roomEndBytes = this.#crcs.totalBytes + addedBytes + stepBytes;
  }
}

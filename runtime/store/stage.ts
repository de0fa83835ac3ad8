import { assert } from "../base/assert.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import { Fault } from "../base/fault.ts";
import { MiB } from "../base/units.ts";
import type { StoreFiles } from "./files.ts";
import { filePageBytes, fileSeed } from "./format.ts";
import { type ArtifactName, producers } from "./identity.ts";
import { encodeLargeHeader, largeDigest, PieceCrcs } from "./large-file.ts";
import type { Space } from "./space.ts";
import { type BodyFacts, kinds, type Stage, type StagedBody } from "./store.ts";

/** The account is asked again each time this much has arrived: a body of unknown length must not fill the disk. */
const spaceStepBytes = 16 * MiB;

export type StageOptions = {
  readonly disk: Disk;
  readonly files: StoreFiles;
  readonly space: Space;
  readonly storeId: Uint8Array;
  readonly expectedBytes: number;
  /** Makes the folder of large files durable, one sync for all that wait. */
  readonly syncFolder: () => Promise<void>;
};

/** Streams a body into a file of its own behind a page that is written last. */
export class LargeStage implements Stage {
  readonly #options: StageOptions;
  readonly #number: number;
  readonly #file: DiskFile;
  readonly #crcs: PieceCrcs;
  readonly #seed: number;
  readonly #reservation: { giveBack(): void };
  #checkedBytes = 0;
  #state: "open" | "finished" | "discarded" = "open";

  constructor(options: StageOptions) {
    const refusal = options.space.refusePut(options.expectedBytes);
    if (refusal !== null) throw refusal;
    this.#options = options;
    this.#number = options.files.takeNumber();
    this.#file = options.files.createLarge(this.#number);
    this.#reservation = options.space.reserve(options.expectedBytes);
    this.#seed = fileSeed(options.storeId, this.#number);
    this.#crcs = new PieceCrcs(this.#seed);
  }

  get sizeBytes(): number {
    return this.#crcs.totalBytes;
  }

  async write(chunk: Uint8Array): Promise<void> {
    assert(this.#state === "open", "a stage is open while it is written");
    this.#checkRoom(chunk.length);
    const at = filePageBytes + this.#crcs.totalBytes;
    this.#crcs.update(chunk);
    await this.#file.writeLater(chunk, at);
  }

  async finish(name: ArtifactName, facts: BodyFacts): Promise<StagedBody> {
    assert(this.#state === "open", "a stage is finished once");
    const { storeId, files, syncFolder } = this.#options;
    const sizeBytes = this.#crcs.totalBytes;
    const table = this.#crcs.finish();
    const digest = largeDigest(sizeBytes, table);
    // 1. The CRC table behind the body. A crash here leaves a file without a first page: an aborted upload.
    if (table.length > 0) await this.#file.writeLater(table, filePageBytes + sizeBytes);
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
    await this.#file.writeLater(page, 0);
    // 3. File, then folder. Only now may a record name it.
    await this.#file.syncLater();
    await syncFolder();
    this.#state = "finished";
    this.#file.close();
    files.setLargeBytes(this.#number, filePageBytes + sizeBytes + table.length);
    this.#reservation.giveBack();
    return { file: this.#number, sizeBytes, digest };
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

  discard(): void {
    if (this.#state === "discarded") return;
    if (this.#state === "open") this.#file.close();
    this.#state = "discarded";
    this.#reservation.giveBack();
    this.#options.files.removeLarge(this.#number);
  }

  /** A body of unknown length is counted as it comes; one of known length was reserved as a whole. */
  #checkRoom(addedBytes: number): void {
    const { expectedBytes, space, files } = this.#options;
    if (expectedBytes > 0) return;
    const endBytes = this.#crcs.totalBytes + addedBytes;
    files.setLargeBytes(this.#number, filePageBytes + endBytes);
    if (endBytes < this.#checkedBytes + spaceStepBytes) return;
    this.#checkedBytes = endBytes;
    const refusal = space.refusePut(0);
    if (refusal !== null) throw refusal;
  }
}

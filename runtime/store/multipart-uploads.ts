import type { ByteBudget } from "../base/budget.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { asFault, Fault } from "../base/fault.ts";
import type { Random } from "../base/random.ts";
import { second } from "../base/units.ts";
import { type ArtifactName, producers } from "./identity.ts";
import {
  type Assembly,
  type CompletionOutcome,
  type PartStage,
  type UploadFigures,
  type UploadLimits,
  type Uploads,
  uploadMissing,
} from "./multipart.ts";
import { PartFiles } from "./multipart-files.ts";
import { type OpenUpload, toUpload } from "./multipart-open.ts";
import { type ArrivedPart, PartIntake } from "./multipart-part.ts";
import { reconcile } from "./multipart-reconcile.ts";
import type { PartRow, UploadRows } from "./multipart-rows.ts";
import { checkGrowth, checkNamed, sumOf, tooManyOpen } from "./multipart-rules.ts";
import { PartSpace } from "./multipart-space.ts";
import type { StoreNote } from "./open.ts";
import type { Space } from "./space.ts";
import type { StageFiles } from "./stage-file.ts";
import type { StallWatch } from "./stall.ts";

const uploadIdBytes = 16;
const syncMsMax = 60 * second;
const endsPerTurn = 8;

export type NodeUploadsOptions = {
  readonly disk: Disk;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly space: Space;
  readonly stalls: StallWatch;
  readonly stages: StageFiles;
  /** Disk space that parts share with others; null for no end to it. */
  readonly scratch: ByteBudget | null;
  readonly limits: UploadLimits;
  /** Rows of the index that is in use now. Throws while the store takes no writes. */
  readonly rows: () => UploadRows;
  /** Whether there is an artifact under this name. */
  readonly exists: (name: ArtifactName) => boolean;
  /** A statement failed: what the caller is told. */
  readonly trouble: (error: unknown) => Fault;
  /** Rows were written: a checkpoint may be due. */
  readonly afterWrite: () => void;
  readonly nextTurn: () => Promise<void>;
  readonly note: StoreNote;
};

/** Uploads in parts: rows in the index, bytes in `{data}/parts`, and who may touch which of them when. */
export class NodeUploads implements Uploads {
  readonly #options: NodeUploadsOptions;
  readonly #files: PartFiles;
  readonly #space: PartSpace;
  readonly #uploads = new Map<string, OpenUpload>();
  /** Files of parts on their way in. */
  readonly #arriving = new Set<number>();
  #janitor: Timer | null = null;
  #isClosed = false;

  constructor(options: NodeUploadsOptions) {
    this.#options = options;
    this.#files = new PartFiles(options.disk, options.dataDir);
    this.#space = new PartSpace({
      space: options.space,
      storedBytesMax: options.limits.storedBytesMax,
      namedBytes: () => this.#namedBytes(),
      scratch: options.scratch,
    });
  }

  /**
   * Takes over what the rows of a fresh or recovered index name, and in the background makes rows and files agree.
   * Resolves when they do.
   */
  async adopt(): Promise<void> {
    const { clock, note } = this.#options;
    this.#uploads.clear();
    try {
      const rows = this.#options.rows();
      const [wallMs, nowMs] = [clock.wallMs(), clock.monotonicMs()];
      for (const row of rows.uploads()) {
        // Started in the future: the clock was set back, and the upload is as old as if it had begun now.
        if (row.createdMs > wallMs) rows.putUpload({ ...row, createdMs: wallMs });
        const upload = toUpload(row, nowMs + Math.min(0, row.createdMs - wallMs));
        this.#uploads.set(upload.id, upload);
        this.#files.raiseHigh(row.fileHigh);
      }
      this.#space.account();
      const found = this.#files.survey().filter((file) => !this.#arriving.has(file));
      this.#watch();
      await reconcile({
        files: this.#files,
        found,
        uploads: [...this.#uploads.values()],
        rows: this.#options.rows,
        isOpen: (upload) => !this.#isClosed && this.#uploads.get(upload.id) === upload,
        isFinished: (upload) => this.#options.exists(upload.name),
        end: (upload) => this.#end(upload),
        drop: (upload, part) => this.#drop(upload, part),
        mayGoOn: () => !this.#isClosed,
        nextTurn: this.#options.nextTurn,
        note,
      });
    } catch (error) {
      if (this.#isClosed) return;
      note("uploads not reconciled", { reason: this.#options.trouble(error).message });
    }
  }

  start(name: ArtifactName): string {
    const { clock, random, limits, space } = this.#options;
    const rows = this.#options.rows();
    this.#expire();
    if (this.#uploads.size >= limits.activeMax) throw tooManyOpen(limits);
    const refusal = space.refusePut(0);
    if (refusal !== null) throw refusal;
    const row = {
      id: random.bytes(uploadIdBytes),
      producer: producers[name.producer],
      tenant: name.scope.tenant,
      namespace: name.scope.namespace,
      key: name.key,
      createdMs: clock.wallMs(),
    };
    this.#write(() => rows.putUpload(row));
    const upload = toUpload(
      { ...row, partBytes: 0, partCount: 0, fileHigh: 0 },
      clock.monotonicMs(),
    );
    this.#uploads.set(upload.id, upload);
    this.#watch();
    return upload.id;
  }

  find(id: string): ArtifactName | null {
    return this.#find(id)?.name ?? null;
  }

  openPart(id: string, wish: { number: number; sizeBytes: number | null }): PartStage {
    const upload = this.#need(id);
    this.#checkTotal(upload, wish.number, wish.sizeBytes ?? 0);
    const bytesMax = wish.sizeBytes ?? this.#options.limits.partBytesMax;
    const room = this.#space.open(bytesMax);
    try {
      const { file, handle } = this.#files.create();
      this.#arriving.add(file);
      return new PartIntake({
        file,
        handle: this.#options.stages.adopt(handle),
        bytesMax,
        room,
        stalls: this.#options.stalls,
        adopt: (part) => this.#locked(upload, () => this.#adoptPart(upload, wish.number, part)),
        release: (isAdopted) => {
          this.#arriving.delete(file);
          if (!isAdopted) this.#unlinkPart({ file, sizeBytes: bytesMax });
          room.close();
        },
      });
    } catch (error) {
      room.close();
      throw error;
    }
  }

  async complete(
    id: string,
    numbers: readonly number[],
    store: (assembly: Assembly) => Promise<CompletionOutcome>,
  ): Promise<CompletionOutcome> {
    const upload = this.#need(id);
    return await this.#locked(upload, async () => {
      this.#checkOpen(upload);
      upload.isCompleting = true;
      try {
        const outcome = this.#options.exists(upload.name)
          ? "exists"
          : await store(this.#assemble(upload, numbers));
        // The artifact is durable. A crash before its end leaves an upload of what exists: the next start removes it,
        // and whoever completes it again is told that all is well until then, and 404 afterwards.
        this.#endQuietly(upload);
        return outcome;
      } finally {
        upload.isCompleting = false;
      }
    });
  }

  figures(): UploadFigures {
    return { activeCount: this.#uploads.size, partBytes: this.#space.heldBytes };
  }

  close(): void {
    this.#isClosed = true;
    this.#janitor?.cancel();
    this.#janitor = null;
  }

  #namedBytes(): number {
    let bytes = 0;
    for (const upload of this.#uploads.values()) bytes += upload.sizeBytes;
    return bytes;
  }

  /** One after the other for each upload; parts take their turn only once they have come. */
  async #locked<T>(upload: OpenUpload, run: () => T | Promise<T>): Promise<T> {
    const before = upload.tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    upload.tail = promise;
    await before;
    try {
      return await run();
    } finally {
      resolve();
    }
  }

  async #adoptPart(upload: OpenUpload, number: number, part: ArrivedPart): Promise<void> {
    this.#checkOpen(upload);
    const { file, sizeBytes, crc } = part;
    const before = this.#checkTotal(upload, number, sizeBytes);
    const row = { uploadId: upload.idBytes, number, sizeBytes, file, crc };
    this.#write(() => this.#options.rows().putPart(row));
    upload.sizeBytes += sizeBytes - (before?.sizeBytes ?? 0);
    if (before === null) {
      upload.partCount += 1;
      return;
    }
    this.#unlinkPart(before);
    // A power cut may take the row back: the earlier part must not stand in for the one that is acknowledged now.
    await this.#syncFolder();
  }

  /** The part that has this number now, if any. @throws Fault "unprocessable" when the upload would be too large. */
  #checkTotal(upload: OpenUpload, number: number, addedBytes: number): PartRow | null {
    const before = this.#read(() => this.#options.rows().part(upload.idBytes, number));
    checkGrowth(upload, { number, addedBytes, before, limits: this.#options.limits });
    return before;
  }

  #assemble(upload: OpenUpload, numbers: readonly number[]): Assembly {
    const { nextTurn, limits } = this.#options;
    const parts = this.#read(() => this.#options.rows().parts(upload.idBytes));
    const sizeBytes = checkNamed(parts, numbers, limits);
    return {
      sizeBytes,
      read: async (take) => {
        const damaged = await this.#files.readAll(parts, take, nextTurn);
        if (damaged === null) return;
        this.#options.note("part damaged", { file: damaged.file, number: damaged.number });
        this.#drop(upload, damaged);
        throw new Fault(
          "badRequest",
          `Cannot complete the upload: part ${damaged.number} is not on disk as it was taken; upload it again`,
        );
      },
    };
  }

  #find(id: string): OpenUpload | null {
    const upload = this.#uploads.get(id);
    return upload !== undefined && !this.#isOver(upload) ? upload : null;
  }

  #need(id: string): OpenUpload {
    const upload = this.#find(id);
    if (upload === null) throw uploadMissing();
    return upload;
  }

  /** What was looked up before a wait may have ended since. */
  #checkOpen(upload: OpenUpload): void {
    if (this.#find(upload.id) !== upload) throw uploadMissing();
  }

  #isOver(upload: OpenUpload): boolean {
    if (upload.isCompleting) return false;
    return this.#options.clock.monotonicMs() - upload.startedMs >= this.#options.limits.ttlMs;
  }

  /** Looks from time to time, as long as there is something to look at. */
  #watch(): void {
    if (this.#isClosed || this.#uploads.size === 0) return;
    const { clock, limits } = this.#options;
    this.#expire();
    this.#janitor ??= clock.every(limits.janitorMs, () => this.#expire());
  }

  #expire(): void {
    let count = 0;
    for (const upload of [...this.#uploads.values()]) {
      if (!this.#isOver(upload)) continue;
      // What cannot be written now is left to the janitor.
      if (!this.#endQuietly(upload)) break;
      count += 1;
      if (count === endsPerTurn) break;
    }
    // Each end is a transaction.
    if (count === endsPerTurn) void this.#options.nextTurn().then(() => this.#watch());
    if (count > 0) this.#options.note("uploads expired", { uploads: count });
    if (this.#uploads.size > 0) return;
    this.#janitor?.cancel();
    this.#janitor = null;
  }

  /** For what nobody waits for: an upload that cannot be removed now stays, and the janitor comes again. */
  #endQuietly(upload: OpenUpload): boolean {
    try {
      this.#end(upload);
      return true;
    } catch (error) {
      this.#options.note("upload not removed", { reason: asFault(error).message });
      return false;
    }
  }

  /** Rows first: a crash behind them leaves files without a row, which the next start removes. */
  #end(upload: OpenUpload): void {
    // It may have gone with an index that was made anew.
    if (this.#uploads.get(upload.id) !== upload) return;
    const parts = this.#read(() => this.#options.rows().parts(upload.idBytes));
    this.#write(() => this.#options.rows().removeUpload(upload.idBytes));
    for (const part of parts) this.#space.doom(part.sizeBytes);
    this.#uploads.delete(upload.id);
    this.#space.account();
    void this.#unlinkAll(parts);
  }

  /** A part that is not what its row says is no part any more. */
  #drop(upload: OpenUpload, part: PartRow): void {
    const row = this.#read(() => this.#options.rows().part(upload.idBytes, part.number));
    if (row === null || row.file !== part.file) return;
    this.#write(() => this.#options.rows().removePart(upload.idBytes, part.number));
    this.#unlinkPart(part);
    this.#sumUp(upload);
  }

  /** From the rows: a failed statement may have taken place all the same. */
  #sumUp(upload: OpenUpload): void {
    const parts = this.#read(() => this.#options.rows().parts(upload.idBytes));
    upload.sizeBytes = sumOf(parts);
    upload.partCount = parts.length;
    this.#space.account();
  }

  #unlinkPart({ file, sizeBytes }: Pick<PartRow, "file" | "sizeBytes">): void {
    this.#space.doom(sizeBytes);
    this.#unlink(file, sizeBytes);
  }

  /** The part is in place already, so trouble with the disk is only noted. */
  async #syncFolder(): Promise<void> {
    const { disk, dataDir, note, stalls } = this.#options;
    try {
      await stalls.guard(disk.syncFolderLater(`${dataDir}/parts`), "disk", syncMsMax);
    } catch (error) {
      note("parts not synced", { reason: asFault(error).message });
    }
  }

  /** One a turn: each unlink of 10 MiB takes the loop up to a millisecond. */
  async #unlinkAll(parts: readonly PartRow[]): Promise<void> {
    for (const part of parts) {
      await this.#options.nextTurn();
      if (this.#isClosed) return;
      this.#unlink(part.file, part.sizeBytes);
    }
  }

  /** A file that cannot be removed goes on counting, and the next start tries again. */
  #unlink(file: number, heldBytes: number): void {
    try {
      this.#files.remove(file);
      this.#space.unlinked(heldBytes);
    } catch (error) {
      this.#options.note("part not removed", { file, reason: asFault(error).message });
    }
  }

  #read<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw this.#options.trouble(error);
    }
  }

  #write(run: () => void): void {
    this.#read(run);
    this.#options.afterWrite();
  }
}

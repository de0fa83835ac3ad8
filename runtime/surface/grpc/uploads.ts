import type { Clock, Timer } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { minute, second } from "../../base/units.ts";
import type { IncomingBlob } from "./incoming-blob.ts";
import { BlobIsHere, type WatchedUpload } from "./watched-upload.ts";

/** Without a byte for so long, an upload ends. @source surfaces.md 5.7. */
const silenceMsMax = 60 * second;
const overdueMessage = "Cannot go on with the upload: it takes too long for its size";
const sweepPeriodMs = 1 * second;
/** What broke off can be gone on with for so long. */
const keptMsMax = 10 * minute;
/** Each of them holds a descriptor. */
const keptCountMax = 128;

/** What an upload is known by. */
export type UploadKey = {
  /** Instance, digest, compressor and the client's own id: the same for a call that goes on with it. */
  readonly upload: string;
  /** Its blob, by the id in the store. */
  readonly blob: string;
};

type Kept = { readonly blob: IncomingBlob; readonly place: string; readonly sinceMs: number };

/**
 * Uploads by byte stream: those on their way, and the remains of those that broke off, whose client may come again.
 * @source Remote Execution API v2, ByteStream: an upload is gone on with under the same resource name.
 */
export class Uploads {
  readonly #clock: Clock;
  readonly #keptBytesMax: number;
  readonly #watched = new Set<WatchedUpload>();
  readonly #byUpload = new Map<string, WatchedUpload>();
  readonly #byBlob = new Map<string, Set<WatchedUpload>>();
  readonly #receivedBytes = new Map<WatchedUpload, () => number>();
  /** The one that broke off first comes first. */
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;
  #timer: Timer | null = null;

  /** `keptBytesMax`: sizes of uploads that broke off, whose room on disk stays reserved. */
  constructor(clock: Clock, keptBytesMax: number) {
    this.#clock = clock;
    this.#keptBytesMax = keptBytesMax;
  }

  get keptCount(): number {
    return this.#kept.size;
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Ends it when nothing comes for too long, until it is forgotten. */
  watch(upload: WatchedUpload): void {
    this.#watched.add(upload);
    this.#timer ??= this.#clock.every(sweepPeriodMs, () => this.#sweep());
  }

  /** From here on others find it: by its name, and by its blob. */
  name(upload: WatchedUpload, key: UploadKey, receivedBytes: () => number): void {
    this.#byUpload.set(key.upload, upload);
    const same = this.#byBlob.get(key.blob) ?? new Set();
    this.#byBlob.set(key.blob, same.add(upload));
    this.#receivedBytes.set(upload, receivedBytes);
  }

  /** It takes no more messages. */
  forget(upload: WatchedUpload, key: UploadKey | null): void {
    this.#watched.delete(upload);
    this.#receivedBytes.delete(upload);
    if (key === null) return;
    if (this.#byUpload.get(key.upload) === upload) this.#byUpload.delete(key.upload);
    const same = this.#byBlob.get(key.blob);
    same?.delete(upload);
    if (same?.size === 0) this.#byBlob.delete(key.blob);
  }

  /** A blob is in the store: whoever uploads it as well can stop. */
  blobIsHere(blob: string): void {
    for (const upload of this.#byBlob.get(blob) ?? []) upload.interrupt(new BlobIsHere());
    for (const [key, { place }] of this.#kept) if (place === blob) this.drop(key);
  }

  /** Bytes that an upload has brought so far; null for one that nobody knows. */
  receivedBytes(uploadKey: string): number | null {
    const upload = this.#byUpload.get(uploadKey);
    const received = upload === undefined ? undefined : this.#receivedBytes.get(upload);
    return received?.() ?? this.#kept.get(uploadKey)?.blob.receivedBytes ?? null;
  }

  /** Ends the call that still brings an upload, if there is one, so that another can go on with it. */
  async takeOver(uploadKey: string): Promise<void> {
    const upload = this.#byUpload.get(uploadKey);
    if (upload === undefined) return;
    upload.interrupt(new Fault("clientClosed", "Another call goes on with this upload"));
    await upload.ended;
  }

  /**
   * What is left of an upload, for the caller to go on with; null when there is nothing, or less than he says. More may
   * have come since he asked.
   */
  takeKept(uploadKey: string, receivedBytes: number): IncomingBlob | null {
    const kept = this.#kept.get(uploadKey);
    if (kept === undefined || kept.blob.receivedBytes < receivedBytes) return null;
    this.#remove(uploadKey, kept);
    return kept.blob;
  }

  /**
   * Keeps what came of an upload that broke off; it is the registry's from here on. To be called before the upload is
   * forgotten, and for no other that has its name.
   */
  async keep(upload: WatchedUpload, key: UploadKey, blob: IncomingBlob): Promise<void> {
    const { upload: uploadKey, blob: place } = key;
    const isWanted = blob.receivedBytes > 0 && blob.digest.sizeBytes <= this.#keptBytesMax;
    if (!isWanted || this.#byUpload.get(uploadKey) !== upload) {
      blob[Symbol.dispose]();
      return;
    }
    try {
      await blob.toDisk();
    } catch (error) {
      blob[Symbol.dispose]();
      throw error;
    }
    this.drop(uploadKey);
    this.#kept.set(uploadKey, { blob, place, sinceMs: this.#clock.monotonicMs() });
    this.#keptBytes += blob.digest.sizeBytes;
    while (this.#kept.size > keptCountMax || this.#keptBytes > this.#keptBytesMax) {
      this.#dropOldest();
    }
  }

  /** Removes what is left of an upload that begins anew. */
  drop(uploadKey: string): void {
    const kept = this.#kept.get(uploadKey);
    if (kept === undefined) return;
    this.#remove(uploadKey, kept);
    kept.blob[Symbol.dispose]();
  }

  /** Removes all that is left of uploads; false when there was nothing. */
  dropAll(): boolean {
    const isAny = this.#kept.size > 0;
    for (const key of [...this.#kept.keys()]) this.drop(key);
    return isAny;
  }

  #remove(uploadKey: string, { blob }: Kept): void {
    this.#kept.delete(uploadKey);
    this.#keptBytes -= blob.digest.sizeBytes;
  }

  #dropOldest(): void {
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined) this.drop(oldest);
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const upload of this.#watched) {
      if (upload.isOverdue) upload.interrupt(new Fault("timeout", overdueMessage));
      if (!upload.isAwaited || nowMs - upload.waitsSinceMs < silenceMsMax) continue;
      const message = `Cannot go on with the upload: nothing came for ${silenceMsMax / second} s`;
      upload.interrupt(new Fault("timeout", message));
    }
    for (const [key, { sinceMs }] of this.#kept) {
      if (nowMs - sinceMs < keptMsMax) break;
      this.drop(key);
    }
    if (this.#watched.size > 0 || this.#kept.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }
}

import type { Clock } from "../base/clock.ts";
import { crc32 } from "../base/digest.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import { hour, KiB, MiB } from "../base/units.ts";
import type { MemoryTier } from "../observe/memory-tier.ts";
import { BodyCache, cachedBodyBytesMax } from "./body-cache.ts";
import { CheckedBodies } from "./checked-bodies.ts";
import type { StoreFiles } from "./files.ts";
import { filePageBytes, fileSeed } from "./format.ts";
import { sameId } from "./identity.ts";
import { readLargeHeader } from "./large-file.ts";
import { Lru } from "./lru.ts";
import { decodeMetadata } from "./metadata.ts";
import {
  bodyIsWhole,
  compareHeader,
  headerCrc,
  metadataCrcAtBytes,
  pieceCount,
  recordHeaderBytes,
} from "./record.ts";
import { type Attributes, type Body, type Manifest, manifestFlags } from "./store.ts";

/**
 * Bodies up to here are read and checked each time, or kept in the cache of bodies; longer ones are checked once, then
 * sent by the kernel, for which copying costs more than a second call.
 */
const readWholeBytesMax = cachedBodyBytesMax;
/** What the scratch buffer has room for without growing: a check reads a body of up to 1 MiB whole. */
const scratchBytes = 256 * KiB;
/** A checked body is believed for this long. */
const checkedForMs = 24 * hour;
/** Files of which the scrub said that something in them is damaged; the ones beyond it are found out by their bodies. */
const doubtedFilesMax = 4_096;
/** Open handles of data files, unless told. */
const usualHandlesMax = 64;

export type ReaderOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly files: StoreFiles;
  readonly storeId: Uint8Array;
  readonly bodyCacheBytesMax: number;
  /** Data files that are kept open. */
  readonly handlesMax?: number | undefined;
  /** Checks a large file away from the loop; false when it is damaged. */
  readonly checkLarge: (path: string, manifest: Manifest) => Promise<boolean>;
  /** Called for each artifact found damaged. `isIndexWrong`: a whole record of another artifact lies there. */
  readonly onDamage: (manifest: Manifest, isIndexWrong: boolean) => void;
};

/** A data file and where the CRCs of its records start. */
type OpenFile = { readonly file: DiskFile; readonly seed: number };

/** Reads bodies. Whatever it hands out agrees with its checksums and with the row that named it. */
export class Reader {
  readonly #options: ReaderOptions;
  readonly #handles: Lru<number, OpenFile>;
  readonly #bodies: BodyCache;
  /** Bodies in segments, by their places. */
  readonly #checked = new CheckedBodies();
  /** Bodies with files of their own, by those. */
  readonly #checkedLarge = new CheckedBodies();
  readonly #checking = new Map<number, Promise<void>>();
  /** When damage was found in a file: what was checked before that counts no more. */
  readonly #doubted = new Lru<number, number>(doubtedFilesMax);
  #scratch = new Uint8Array(scratchBytes);
  #view = new DataView(this.#scratch.buffer);
  #isClosed = false;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#handles = new Lru(options.handlesMax ?? usualHandlesMax, (open) => open.file.close());
    this.#bodies = new BodyCache(options.bodyCacheBytesMax);
  }

  get cachedBytes(): number {
    return this.#bodies.heldBytes;
  }

  adaptTo(tier: MemoryTier): void {
    this.#bodies.adaptTo(tier);
  }

  open(manifest: Manifest, startBytes: number, endBytes: number): Body {
    if ((manifest.flags & manifestFlags.large) !== 0) {
      return this.#openLarge(manifest, startBytes, endBytes);
    }
    if (manifest.sizeBytes > readWholeBytesMax) {
      return this.#openLong(manifest, startBytes, endBytes);
    }
    const key = placeKey(manifest);
    const body = this.#bodies.get(key, manifest) ?? this.#readSmall(key, manifest);
    if (body === null) return { at: "damaged" };
    // A view of the whole would cost a cold read more than its copy: it makes the buffer a shared one.
    const isWhole = startBytes === 0 && endBytes === manifest.sizeBytes;
    return { at: "bytes", bytes: isWhole ? body : body.subarray(startBytes, endBytes) };
  }

  /** A copy: the answer may be sent after other reads have filled the scratch buffer. */
  #readSmall(key: number, manifest: Manifest): Uint8Array | null {
    const bodyAt = this.#readBody(manifest);
    if (bodyAt === null) return null;
    const body = this.#scratch.slice(bodyAt, bodyAt + manifest.sizeBytes);
    if (body.length > 0) this.#bodies.offer(key, manifest, body);
    return body;
  }

  /** The attributes of an artifact; null when they are damaged, which makes it a miss. */
  attributes(manifest: Manifest): Attributes | null {
    const attributes = this.#readAttributes(manifest);
    if (attributes === null) this.#damaged(manifest);
    return attributes;
  }

  #readAttributes(manifest: Manifest): Attributes | null {
    const open = this.#open(manifest);
    if (open === null) return null;
    const isLarge = (manifest.flags & manifestFlags.large) !== 0;
    return isLarge ? largeAttributes(manifest, open) : this.#recordAttributes(manifest, open);
  }

  #recordAttributes(manifest: Manifest, open: OpenFile): Attributes | null {
    const length = recordHeaderBytes + manifest.metadataBytes;
    if (length > scratchBytes) return null;
    if (!this.#read(open, manifest.offsetBytes, length)) return null;
    if (!this.#headerIsOurs(manifest, open)) return null;
    const bytes = this.#scratch.subarray(recordHeaderBytes, length);
    if (crc32(bytes) !== this.#view.getUint32(metadataCrcAtBytes, true)) return null;
    return decodeMetadata(bytes)?.attributes ?? null;
  }

  /** Whether a large file is being checked, to be sent then. */
  isChecking(file: number): boolean {
    return this.#checking.has(file);
  }

  /** The file is about to go: an open one would keep its space on the disk. */
  forget(file: number): void {
    this.#handles.drop(file);
  }

  /** Says that something in a file is damaged, whatever it is: bodies in it are checked again before they are sent. */
  doubt(file: number): void {
    this.#doubted.put(file, this.#options.clock.monotonicMs(), 1);
  }

  /** Keeps nothing of an artifact that was found damaged. */
  forgetBody(manifest: Manifest): void {
    this.#bodies.drop(placeKey(manifest));
    this.#checked.drop(placeKey(manifest));
    if ((manifest.flags & manifestFlags.large) !== 0) this.#checkedLarge.drop(manifest.file);
  }

  close(): void {
    this.#isClosed = true;
    this.#handles.clear();
    this.#bodies.clear();
  }

  /** One read of header, metadata, body and CRC table: where the body lies in the scratch buffer; null when it is wrong. */
  #readBody(manifest: Manifest): number | null {
    const { offsetBytes, metadataBytes, sizeBytes } = manifest;
    const bodyAt = recordHeaderBytes + metadataBytes;
    const length = bodyAt + sizeBytes + 4 * pieceCount(sizeBytes);
    const open = this.#open(manifest);
    if (open === null) return this.#damaged(manifest);
    if (length > this.#scratch.length) {
      // Only a header that agrees with the row makes us believe such a length.
      const isRead = this.#read(open, offsetBytes, recordHeaderBytes);
      if (!isRead || !this.#headerIsOurs(manifest, open)) return this.#damaged(manifest);
    }
    if (!this.#read(open, offsetBytes, length)) return this.#damaged(manifest);
    if (!this.#headerIsOurs(manifest, open)) return this.#damaged(manifest);
    const seed = headerCrc(this.#scratch, 0);
    if (!bodyIsWhole(this.#scratch, bodyAt, sizeBytes, seed)) return this.#damaged(manifest);
    return bodyAt;
  }

  #openLong(manifest: Manifest, startBytes: number, endBytes: number): Body {
    const key = placeKey(manifest);
    const nowMs = this.#options.clock.monotonicMs();
    if (!this.#isStillGood(this.#checked.checkedMs(key, manifest), manifest, nowMs)) {
      if (this.#readBody(manifest) === null) return { at: "damaged" };
      this.#checked.put(key, manifest, nowMs);
    }
    const bodyAt = manifest.offsetBytes + recordHeaderBytes + manifest.metadataBytes;
    return this.#slice(manifest, bodyAt + startBytes, bodyAt + endBytes);
  }

  #openLarge(manifest: Manifest, startBytes: number, endBytes: number): Body {
    const nowMs = this.#options.clock.monotonicMs();
    const checkedMs = this.#checkedLarge.checkedMs(manifest.file, manifest);
    if (!this.#isStillGood(checkedMs, manifest, nowMs)) {
      return { at: "check", done: this.#checkLarge(manifest) };
    }
    return this.#slice(manifest, filePageBytes + startBytes, filePageBytes + endBytes);
  }

  #isStillGood(checkedMs: number | null, { file }: Manifest, nowMs: number): boolean {
    if (checkedMs === null || nowMs - checkedMs > checkedForMs) return false;
    const doubtedMs = this.#doubted.get(file);
    return doubtedMs === undefined || checkedMs > doubtedMs;
  }

  /** One check for all that wait for the same file. */
  #checkLarge(manifest: Manifest): Promise<void> {
    const running = this.#checking.get(manifest.file);
    if (running !== undefined) return running;
    const check = this.#runCheck(manifest).finally(() => this.#checking.delete(manifest.file));
    this.#checking.set(manifest.file, check);
    return check;
  }

  async #runCheck(manifest: Manifest): Promise<void> {
    const { files, clock, checkLarge } = this.#options;
    // Its beginning counts: what is damaged meanwhile may lie where it has been already.
    const startedMs = clock.monotonicMs();
    const isWhole = await checkLarge(files.largePath(manifest.file), manifest);
    if (this.#isClosed) return;
    if (isWhole) {
      this.#checkedLarge.put(manifest.file, manifest, startedMs);
    } else this.#damaged(manifest);
  }

  #slice(manifest: Manifest, startBytes: number, endBytes: number): Body {
    const { files } = this.#options;
    const isLarge = (manifest.flags & manifestFlags.large) !== 0;
    return { at: "slice", path: files.pathOf(manifest.file, isLarge), startBytes, endBytes };
  }

  /** Whether the header in the scratch buffer belongs to this row. */
  #headerIsOurs(row: Manifest, { seed }: OpenFile): boolean {
    const is = compareHeader(this.#scratch, this.#view, { seed, row });
    if (is === "other") this.#options.onDamage(row, true);
    return is === "same";
  }

  #damaged(manifest: Manifest): null {
    this.#bodies.drop(placeKey(manifest));
    this.#options.onDamage(manifest, false);
    return null;
  }

  /** Fills the scratch buffer; false when the file is shorter or cannot be read. */
  #read({ file }: OpenFile, atBytes: number, length: number): boolean {
    if (length > this.#scratch.length) {
      this.#scratch = new Uint8Array(length + 64 * KiB);
      this.#view = new DataView(this.#scratch.buffer);
    }
    try {
      return file.read(this.#scratch.subarray(0, length), atBytes) === length;
    } catch {
      // A sector that cannot be read is damage like any other: the caller reports it.
      return false;
    }
  }

  #open(manifest: Manifest): OpenFile | null {
    const open = this.#handles.get(manifest.file);
    if (open !== undefined) return open;
    const { disk, files, storeId } = this.#options;
    const isLarge = (manifest.flags & manifestFlags.large) !== 0;
    const file = disk.open(files.pathOf(manifest.file, isLarge), "read");
    if (file === null) return null;
    const opened = { file, seed: fileSeed(storeId, manifest.file) };
    this.#handles.put(manifest.file, opened, 1);
    return opened;
  }
}

function largeAttributes(manifest: Manifest, { file }: OpenFile): Attributes | null {
  const header = readLargeHeader(file);
  return header !== null && sameId(header.id, manifest.id) ? header.metadata.attributes : null;
}

/** A place as one number: segments stay below 2^28 bytes, so that 2^25 files can be told apart. */
function placeKey(manifest: Manifest): number {
  return manifest.file * (256 * MiB) + manifest.offsetBytes;
}

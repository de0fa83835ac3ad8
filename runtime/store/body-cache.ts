import { assert } from "../base/assert.ts";
import { KiB } from "../base/units.ts";
import { cacheShares, type MemoryTier } from "../observe/memory-tier.ts";
import type { Manifest } from "./store.ts";

/** A chunk is the unit of giving way, and all that a body which was handed out keeps from the collector. */
const chunkBytesMax = 256 * KiB;
/** In front of each body: the id of its artifact, its length and its digest. */
const sizeAt = 32;
const digestAt = 36;
const frontBytes = 44;
/** A chunk takes one body for so many of its bytes: bounds what the map of places needs, some 50 bytes a body. */
const bytesPerBodyMin = 128;

/** Slots for the keys that were asked for once, one for each KiB of bodies: numbered by as many bits. */
const askedBits = { min: 14, max: 20 };

/** One in so many offers, as a power of two, is taken at the most strict. */
const strictnessMax = 3;

/** The longest body that every cache can hold. */
export const cachedBodyBytesMax = 32 * KiB;
/** With the smallest cache that the settings allow there is one chunk. */
const chunkBytesMin = cachedBodyBytesMax + frontBytes;

/** What a body is told by. */
export type CachedRow = Pick<Manifest, "id" | "sizeBytes" | "digest">;

type Chunk = {
  /** Counts up; chunks are in this order. */
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly keys: number[];
  hits: number;
};

/**
 * Small bodies in a few large chunks, without an object for each body: what the collector has to look at, and what it
 * lets grow before it looks, depends on neither their count nor their turnover. The oldest chunk gives way whole; a
 * body that is asked for while its chunk is among the oldest quarter moves to the newest.
 *
 * Only what is asked for twice is kept: somebody who reads everything once turns nothing over. While chunks give way
 * before they were of use, only some of these are kept, down to one in eight: more bodies are in demand than fit, and the
 * more often one is asked for the sooner it gets in.
 */
export class BodyCache {
  readonly #chunkBytes: number;
  readonly #givenChunks: number;
  /** What memory allows of them now; 0 keeps nothing. */
  #chunksMax: number;
  /** Where the body of a key begins: number of its chunk times the bytes of a chunk, plus its offset. */
  readonly #places = new Map<number, number>();
  /** One key a slot, folded to 32 bits: which keys were offered lately and not taken. */
  readonly #asked: Uint32Array;
  /** Of a folded key, to the right: leaves the number of its slot. */
  readonly #askedShift: number;
  #chunks: Chunk[] = [];
  #nextNumber = 0;
  #strictness = 0;
  #offers = 0;
  #usedBytes = 0;

  /** `maxBytes`: of chunks; at least one is kept. */
  constructor(maxBytes: number) {
    const wantedBits = Math.ceil(Math.log2(Math.max(1, maxBytes / KiB)));
    const bits = Math.min(askedBits.max, Math.max(askedBits.min, wantedBits));
    this.#asked = new Uint32Array(2 ** bits);
    this.#askedShift = 32 - bits;
    const wanted = Math.floor(maxBytes / 8);
    this.#chunkBytes = Math.min(chunkBytesMax, Math.max(chunkBytesMin, wanted));
    this.#givenChunks = Math.max(1, Math.floor(maxBytes / this.#chunkBytes));
    this.#chunksMax = this.#givenChunks;
  }

  get count(): number {
    return this.#places.size;
  }

  /** Memory of the chunks. */
  get heldBytes(): number {
    return this.#chunks.length * this.#chunkBytes;
  }

  /**
   * The body that lies at a place, by its key, if it is the one that this row means: a row that was damaged in the
   * index may name any place. The bytes are never written to again.
   */
  get(key: number, row: CachedRow): Uint8Array | null {
    const place = this.#places.get(key);
    if (place === undefined) return null;
    const number = Math.floor(place / this.#chunkBytes);
    const chunk = this.#chunks[number - (this.#nextNumber - this.#chunks.length)];
    assert(chunk?.number === number, "a key of the body cache lies in a chunk that is held");
    const front = place - number * this.#chunkBytes;
    const { bytes, view } = chunk;
    if (view.getUint32(front + sizeAt, true) !== row.sizeBytes) return null;
    if (view.getFloat64(front + digestAt, true) !== row.digest) return null;
    for (let i = 0; i < sizeAt; i++) if (bytes[front + i] !== row.id[i]) return null;
    chunk.hits += 1;
    const bodyAt = front + frontBytes;
    const body = bytes.subarray(bodyAt, bodyAt + row.sizeBytes);
    const newerCount = this.#nextNumber - 1 - number;
    if (newerCount > 0 && newerCount * 4 >= this.#chunksMax * 3) this.put(key, row, body);
    return body;
  }

  /** Gives up what the tier does not leave it; the collector frees it once no answer reads it any more. */
  adaptTo(tier: MemoryTier): void {
    const share = cacheShares[tier];
    this.#chunksMax = share === 0 ? 0 : Math.max(1, Math.floor(this.#givenChunks * share));
    while (this.#chunks.length > this.#chunksMax) this.#forget(this.#chunks.shift());
  }

  /** Takes a body that was asked for before; one that is new is only remembered by its key. */
  offer(key: number, row: CachedRow, body: Uint8Array): void {
    const folded = fold(key);
    const slot = folded >>> this.#askedShift;
    if (this.#asked[slot] !== folded) {
      this.#asked[slot] = folded;
      return;
    }
    this.#offers += 1;
    if (this.#offers % 2 ** this.#strictness === 0) this.put(key, row, body);
  }

  /** Copies a body of up to `cachedBodyBytesMax`. */
  put(key: number, row: CachedRow, body: Uint8Array): void {
    assert(body.length <= cachedBodyBytesMax, "the body fits into a chunk");
    if (this.#chunksMax === 0) return;
    const chunk = this.#chunkFor(frontBytes + body.length);
    const front = this.#usedBytes;
    chunk.bytes.set(row.id, front);
    chunk.view.setUint32(front + sizeAt, body.length, true);
    chunk.view.setFloat64(front + digestAt, row.digest, true);
    chunk.bytes.set(body, front + frontBytes);
    chunk.keys.push(key);
    this.#places.set(key, chunk.number * this.#chunkBytes + front);
    this.#usedBytes += frontBytes + body.length;
  }

  /** Forgets a key; its bytes go with their chunk. */
  drop(key: number): void {
    this.#places.delete(key);
  }

  clear(): void {
    this.#places.clear();
    this.#chunks = [];
  }

  #chunkFor(length: number): Chunk {
    const newest = this.#chunks.at(-1);
    const hasRoom =
      newest !== undefined &&
      this.#usedBytes + length <= this.#chunkBytes &&
      newest.keys.length < this.#chunkBytes / bytesPerBodyMin;
    if (hasRoom) return newest;
    // The bytes of one that gives way are not used again: an answer may still be reading them.
    if (this.#chunks.length >= this.#chunksMax) this.#forget(this.#chunks.shift());
    const bytes = new Uint8Array(this.#chunkBytes);
    const view = new DataView(bytes.buffer);
    const chunk = { number: this.#nextNumber++, bytes, view, keys: [], hits: 0 };
    this.#chunks.push(chunk);
    this.#usedBytes = 0;
    return chunk;
  }

  #forget(chunk: Chunk | undefined): void {
    if (chunk === undefined) return;
    this.#strictness = nextStrictness(this.#strictness, chunk);
    const endBytes = (chunk.number + 1) * this.#chunkBytes;
    for (const key of chunk.keys) {
      // One that was put again since lies in a newer chunk.
      if ((this.#places.get(key) ?? endBytes) < endBytes) this.#places.delete(key);
    }
  }
}

/** A chunk that was worth its copies was hit as often as it has bodies; half as often was not enough. */
function nextStrictness(strictness: number, { hits, keys }: Chunk): number {
  if (hits * 2 < keys.length) return Math.min(strictnessMax, strictness + 1);
  return hits >= keys.length ? Math.max(0, strictness - 1) : strictness;
}

/** All bits of a key into 32: the two halves, mixed by the finalizer of MurmurHash3. */
function fold(key: number): number {
  let hash = Math.imul(Math.floor(key / 2 ** 32) + 1, 0x9e3779b1) ^ (key >>> 0);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

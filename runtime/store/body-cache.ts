import { assert } from "../base/assert.ts";
import { KiB } from "../base/units.ts";
import { sameId } from "./identity.ts";

/** A chunk is the unit of giving way: an answer that is still being sent keeps no more than this from the collector. */
const chunkBytesMax = 256 * KiB;
/** In front of each body: the id of its artifact and its length. */
const idBytes = 32;
const frontBytes = idBytes + 4;

/** Slots for the keys that were asked for once, 64 KiB of them: numbered by as many bits. */
const askedBits = 14;

/** The longest body that every cache can hold. */
export const cachedBodyBytesMax = 32 * KiB;
/** With the smallest cache that the settings allow there is one chunk. */
const chunkBytesMin = cachedBodyBytesMax + frontBytes;

type Chunk = {
  /** Counts up; chunks are in this order. */
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly keys: number[];
};

/**
 * Small bodies in a few large chunks, without an object for each body: what the collector has to look at, and what it
 * lets grow before it looks, depends on neither their count nor their turnover. The oldest chunk gives way whole; a
 * body that is asked for while its chunk is among the oldest quarter moves to the newest.
 *
 * Only what is asked for twice is kept: somebody who reads everything once turns nothing over.
 */
export class BodyCache {
  readonly #chunkBytes: number;
  readonly #chunksMax: number;
  /** Where the body of a key begins: number of its chunk times the bytes of a chunk, plus its offset. */
  readonly #places = new Map<number, number>();
  /** One key a slot, folded to 32 bits: which keys were offered lately and not taken. */
  readonly #asked = new Uint32Array(2 ** askedBits);
  #chunks: Chunk[] = [];
  #nextNumber = 0;
  #usedBytes = 0;

  /** `maxBytes`: of chunks; at least one is kept. */
  constructor(maxBytes: number) {
    const wanted = Math.floor(maxBytes / 8);
    this.#chunkBytes = Math.min(chunkBytesMax, Math.max(chunkBytesMin, wanted));
    this.#chunksMax = Math.max(1, Math.floor(maxBytes / this.#chunkBytes));
  }

  get count(): number {
    return this.#places.size;
  }

  /** Memory of the chunks. */
  get heldBytes(): number {
    return this.#chunks.length * this.#chunkBytes;
  }

  /**
   * The body that lies at a place, by its key, if it is that of this artifact and has this length: a row that was
   * damaged in the index may name any place. The bytes are never written to again.
   */
  get(key: number, id: Uint8Array, length: number): Uint8Array | null {
    const place = this.#places.get(key);
    if (place === undefined) return null;
    const number = Math.floor(place / this.#chunkBytes);
    const chunk = this.#chunks[number - (this.#nextNumber - this.#chunks.length)];
    assert(chunk?.number === number, "a key of the body cache lies in a chunk that is held");
    const front = place - number * this.#chunkBytes;
    const { bytes, view } = chunk;
    if (view.getUint32(front + idBytes, true) !== length) return null;
    if (!sameId(bytes.subarray(front, front + idBytes), id)) return null;
    const bodyAt = front + frontBytes;
    const body = bytes.subarray(bodyAt, bodyAt + length);
    const newerCount = this.#nextNumber - 1 - number;
    if (newerCount > 0 && newerCount * 4 >= this.#chunksMax * 3) this.put(key, id, body);
    return body;
  }

  /** Takes a body that was asked for before; one that is new is only remembered by its key. */
  offer(key: number, id: Uint8Array, body: Uint8Array): void {
    const folded = fold(key);
    const slot = folded >>> (32 - askedBits);
    if (this.#asked[slot] === folded) this.put(key, id, body);
    else this.#asked[slot] = folded;
  }

  /** Copies a body of up to `cachedBodyBytesMax`. */
  put(key: number, id: Uint8Array, body: Uint8Array): void {
    assert(body.length <= cachedBodyBytesMax, "the body fits into a chunk");
    const chunk = this.#chunkFor(frontBytes + body.length);
    const front = this.#usedBytes;
    chunk.bytes.set(id, front);
    chunk.view.setUint32(front + idBytes, body.length, true);
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
    if (newest !== undefined && this.#usedBytes + length <= this.#chunkBytes) return newest;
    // The bytes of one that gives way are not used again: an answer may still be reading them.
    if (this.#chunks.length === this.#chunksMax) this.#forget(this.#chunks.shift());
    const bytes = new Uint8Array(this.#chunkBytes);
    const view = new DataView(bytes.buffer);
    const chunk = { number: this.#nextNumber++, bytes, view, keys: [] };
    this.#chunks.push(chunk);
    this.#usedBytes = 0;
    return chunk;
  }

  #forget(chunk: Chunk | undefined): void {
    if (chunk === undefined) return;
    const endBytes = (chunk.number + 1) * this.#chunkBytes;
    for (const key of chunk.keys) {
      // One that was put again since lies in a newer chunk.
      if ((this.#places.get(key) ?? endBytes) < endBytes) this.#places.delete(key);
    }
  }
}

/** Mixes all bits of a key into 32 (Knuth's multiplicative hash over both halves). */
function fold(key: number): number {
  const low = key >>> 0;
  const high = Math.floor(key / 2 ** 32);
  return (Math.imul(low, 0x9e3779b1) ^ Math.imul(high + 1, 0x85ebca6b)) >>> 0;
}

/** A table begins with so many slots, half a KiB, and doubles with use. */
export const slotsFirst = 128;
export const slotBytes = 4;
/** Of the slots, at most so many are filled: beyond it a look-up walks too far. */
const fillMax = 0.7;
const headBytes = 8;

/**
 * Numbers from 1 to 2^32-1 in one typed array: open addressing with linear steps; 0 is a free slot. What stands near its
 * place has its lower bits in common with it: of 32,768 slots one in 130,000 look-ups finds what was never added.
 */
export class IdTable {
  readonly #slotsMax: number;
  #slots: Uint32Array;
  #mask: number;
  #count = 0;

  constructor(slotsMax: number, slots = slotsFirst) {
    this.#slotsMax = slotsMax;
    this.#slots = new Uint32Array(slots);
    this.#mask = slots - 1;
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count >= this.#slotsMax * fillMax;
  }

  has(key: number): boolean {
    return this.#slots[this.#placeOf(key)] === key;
  }

  add(key: number): boolean {
    const place = this.#placeOf(key);
    if (this.#slots[place] === key || this.isFull) return false;
    this.#slots[place] = key;
    this.#count += 1;
    if (this.#count > this.#slots.length * fillMax) this.#grow();
    return true;
  }

  get savedBytes(): number {
    return headBytes + this.#slots.byteLength;
  }

  saveInto(into: Uint8Array, atBytes: number): void {
    const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
    view.setFloat64(atBytes, this.#slots.length, true);
    const { buffer, byteOffset, byteLength } = this.#slots;
    into.set(new Uint8Array(buffer, byteOffset, byteLength), atBytes + headBytes);
  }

  /** How many bytes were taken; -1 when they are no table of this size, and nothing is taken. */
  restore(saved: Uint8Array): number {
    if (saved.length < headBytes) return -1;
    const slots = new DataView(saved.buffer, saved.byteOffset, headBytes).getFloat64(0, true);
    const isSize = slots >= slotsFirst && slots <= this.#slotsMax;
    const endBytes = headBytes + slots * slotBytes;
    if (!isSize || !Number.isInteger(Math.log2(slots)) || saved.length < endBytes) return -1;
    // A copy that is aligned, whatever it was cut from.
    this.#slots = new Uint32Array(new Uint8Array(saved.subarray(headBytes, endBytes)).buffer);
    this.#mask = slots - 1;
    this.#count = 0;
    for (const key of this.#slots) if (key !== 0) this.#count += 1;
    return endBytes;
  }

  #grow(): void {
    if (this.#slots.length >= this.#slotsMax) return;
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    this.#mask = this.#slots.length - 1;
    for (const key of old) if (key !== 0) this.#slots[this.#placeOf(key)] = key;
  }

  /** The slot of a key, or the free one where it would go. Keys are pieces of hashes, so their low bits are as good as others. */
  #placeOf(key: number): number {
    let place = key & this.#mask;
    while (this.#slots[place] !== 0 && this.#slots[place] !== key) place = (place + 1) & this.#mask;
    return place;
  }
}

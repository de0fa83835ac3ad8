import { assert } from "../../base/assert.ts";

const wireTypes = { varint: 0, bytes: 2 } as const;

const firstBytes = 256;
/** Length of a nested message, written in front of it: five bytes hold any that fits into a message of ours. */
const varintBytesMax = 10;

/**
 * Writes a protobuf message. Fields that have their default value are left out, as proto3 encoders do; what must stand
 * although it is empty, such as an element of a list, is written by `message`.
 */
export class WireWriter {
  #bytes: Buffer;
  #at = 0;

  /** `expectedBytes` saves growing. */
  constructor(expectedBytes = firstBytes) {
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(firstBytes, expectedBytes));
  }

  /** Bytes so far. */
  get sizeBytes(): number {
    return this.#at;
  }

  /** A whole number from 0 to 2^53-1, or a negative one down to -(2^31). */
  number(field: number, value: number): void {
    if (value === 0) return;
    this.#tag(field, wireTypes.varint);
    if (value < 0) this.#negative(value);
    else this.#varint(value);
  }

  flag(field: number, value: boolean): void {
    if (value) this.number(field, 1);
  }

  /** Left out when it is empty. */
  bytes(field: number, value: Uint8Array): void {
    if (value.length > 0) this.nested(field, value);
  }

  /** A nested message that is encoded already; written also when it is empty. */
  nested(field: number, value: Uint8Array): void {
    this.#tag(field, wireTypes.bytes);
    this.#varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  text(field: number, value: string): void {
    if (value === "") return;
    const lengthBytes = Buffer.byteLength(value);
    this.#tag(field, wireTypes.bytes);
    this.#varint(lengthBytes);
    this.#reserve(lengthBytes);
    this.#at += this.#bytes.write(value, this.#at, lengthBytes, "utf8");
  }

  /** Begins a nested message; what it returns goes to `end`. */
  begin(field: number): number {
    this.#tag(field, wireTypes.bytes);
    this.#reserve(1);
    // One byte for the length, as nearly all need; `end` makes room for more.
    this.#at += 1;
    return this.#at;
  }

  end(startBytes: number): void {
    const lengthBytes = this.#at - startBytes;
    const extraBytes = varintSize(lengthBytes) - 1;
    if (extraBytes > 0) {
      this.#reserve(extraBytes);
      this.#bytes.copyWithin(startBytes + extraBytes, startBytes, this.#at);
    }
    this.#at = startBytes - 1;
    this.#varint(lengthBytes);
    this.#at += lengthBytes;
  }

  /** The message. The writer must not be used again. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  #tag(field: number, wireType: number): void {
    this.#varint(field * 8 + wireType);
  }

  #varint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, "a varint is a whole number");
    this.#reserve(varintBytesMax);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at++] = rest;
  }

  /** Two's complement of 64 bits, as protobuf writes negative numbers: always ten bytes. */
  #negative(value: number): void {
    assert(Number.isInteger(value) && value >= -(2 ** 31), "a negative number has 32 bits");
    this.#reserve(varintBytesMax);
    let low = value >>> 0;
    for (let i = 0; i < 4; i++) {
      this.#bytes[this.#at++] = (low & 0x7f) | 0x80;
      low >>>= 7;
    }
    // Four bits are left of the low half; all bits of the high half are ones.
    this.#bytes[this.#at++] = (low & 0x0f) | 0xf0;
    for (let i = 0; i < 4; i++) this.#bytes[this.#at++] = 0xff;
    this.#bytes[this.#at++] = 0x01;
  }

  #reserve(count: number): void {
    if (this.#at + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#at + count));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
}

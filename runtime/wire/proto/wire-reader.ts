/** Kinds of fields on the wire. @source protobuf encoding specification, "Message Structure". */
const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const fieldMax = 2 ** 29 - 1;
const varintBytesMax = 10;

/**
 * Walks over protobuf bytes without copying and without throwing: whatever is wrong with them ends the walk and sets
 * `isBroken`. Groups, which no message of ours has, count as broken, and so does a field of another wire type than the
 * caller takes.
 *
 * `next` goes to the next field of the message that was entered last; then one of `number`, `text`, `enter` and `skip`
 * takes its value.
 */
export class WireReader {
  readonly #bytes: Buffer;
  #at = 0;
  #endBytes: number;
  #wireType = 0;
  #isBroken = false;
  /** The field that `next` found. */
  field = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#endBytes = bytes.length;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Where the walk stands. */
  get atBytes(): number {
    return this.#at;
  }

  /** Gives the bytes up: they are not what the caller took them for. */
  breakOff(): void {
    this.#isBroken = true;
  }

  /** False at the end of the entered message, and when the bytes are broken. */
  next(): boolean {
    if (this.#isBroken || this.#at >= this.#endBytes) return false;
    const tag = this.#varint();
    this.#wireType = tag & 7;
    this.field = tag < 128 ? tag >> 3 : Math.floor(tag / 8);
    if (this.field < 1 || this.field > fieldMax) this.breakOff();
    return !this.#isBroken;
  }

  /** A whole number from 0 to 2^53-1; any other, such as a negative one, breaks the walk. */
  number(): number {
    if (this.#wireType !== wireTypes.varint) this.breakOff();
    const value = this.#varint();
    if (value > Number.MAX_SAFE_INTEGER) this.breakOff();
    return this.#isBroken ? 0 : value;
  }

  /** As `number`, but a negative one, which takes ten bytes, is -1. */
  signed(): number {
    if (this.#wireType !== wireTypes.varint) this.breakOff();
    const startBytes = this.#at;
    const value = this.#varint();
    if (this.#at - startBytes === varintBytesMax) return -1;
    if (value > Number.MAX_SAFE_INTEGER) this.breakOff();
    return this.#isBroken ? 0 : value;
  }

  /** A number of a repeated field, alone or packed with others, is added to the list. */
  numbers(into: number[]): void {
    if (this.#wireType !== wireTypes.bytes) {
      into.push(this.number());
      return;
    }
    const lengthBytes = this.#length();
    const endBytes = this.#at + lengthBytes;
    while (this.#at < endBytes && !this.#isBroken) into.push(this.#varint());
    if (this.#at !== endBytes) this.breakOff();
  }

  /** A text of ASCII, one character a byte; one of more than `charsMax` breaks the walk. */
  text(charsMax: number): string {
    const lengthBytes = this.#length();
    if (lengthBytes > charsMax) this.breakOff();
    if (this.#isBroken) return "";
    const startBytes = this.#at;
    this.#at += lengthBytes;
    return this.#bytes.latin1Slice(startBytes, this.#at);
  }

  /** A text of UTF-8; bytes that are none become U+FFFD, and one of more than `bytesMax` breaks the walk. */
  utf8(bytesMax: number): string {
    const lengthBytes = this.#length();
    if (lengthBytes > bytesMax) this.breakOff();
    if (this.#isBroken) return "";
    const startBytes = this.#at;
    this.#at += lengthBytes;
    return this.#bytes.toString("utf8", startBytes, this.#at);
  }

  /** The bytes of a field, as a view of what is walked over. */
  take(): Uint8Array {
    const lengthBytes = this.#length();
    const startBytes = this.#at;
    this.#at += lengthBytes;
    return this.#bytes.subarray(startBytes, this.#at);
  }

  /** Enters a field that is a message. What it returns goes to `leave` at the end of that message. */
  enter(): number {
    const outerEndBytes = this.#endBytes;
    const lengthBytes = this.#length();
    this.#endBytes = this.#at + lengthBytes;
    return outerEndBytes;
  }

  leave(outerEndBytes: number): void {
    this.#at = this.#endBytes;
    this.#endBytes = outerEndBytes;
  }

  passOver(): void {
    switch (this.#wireType) {
      case wireTypes.varint:
        this.#varint();
        return;
      case wireTypes.bytes:
        this.#advance(this.#length());
        return;
      case wireTypes.fixed64:
        this.#advance(8);
        return;
      case wireTypes.fixed32:
        this.#advance(4);
        return;
      default:
        this.breakOff();
    }
  }

  /** Length of a field that has one; 0 when it does not lie inside its message. */
  #length(): number {
    if (this.#wireType !== wireTypes.bytes) this.breakOff();
    const lengthBytes = this.#varint();
    if (lengthBytes > this.#endBytes - this.#at) this.breakOff();
    return this.#isBroken ? 0 : lengthBytes;
  }

  #advance(lengthBytes: number): void {
    if (lengthBytes > this.#endBytes - this.#at) this.breakOff();
    else this.#at += lengthBytes;
  }

  #varint(): number {
    // Nearly all tags, lengths and small numbers are one byte long.
    const first = this.#at < this.#endBytes ? (this.#bytes[this.#at] ?? 0) : 0x80;
    if (first >= 0x80) return this.#longVarint();
    this.#at += 1;
    return first;
  }

  /** Exact up to 2^53-1; a greater one, rounded, is still greater than that. */
  #longVarint(): number {
    let value = 0;
    let scale = 1;
    const endBytes = Math.min(this.#endBytes, this.#at + varintBytesMax);
    while (this.#at < endBytes) {
      const byte = this.#bytes[this.#at] ?? 0;
      this.#at += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    this.breakOff();
    return 0;
  }
}

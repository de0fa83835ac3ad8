import { Fault } from "../base/fault.ts";
import { KiB, MiB } from "../base/units.ts";

/** @source RFC 8878, sections 3.1.1 and 3.1.2. */
const frameMagic = 0xfd2f_b528;
const skippableMagic = 0x184d_2a50;
const skippableMask = 0xffff_fff0;
/** What every decoder should take, and what a level up to 19 asks for at most. @source RFC 8878, section 3.1.1.1.2. */
const windowBytesMax = 8 * MiB;
const blockBytesMax = 128 * KiB;
const checksumBytes = 4;

type Part =
  | "magic"
  | "descriptor"
  | "header"
  | "skipSize"
  | "skip"
  | "block"
  | "blockBody"
  | "checksum";

/**
 * Follows the structure of zstd bytes that come in pieces, without decoding them: where frames end, and how much memory
 * a decoder would take for them. The decoder of the platform gives part of a body for a frame that is cut off, and
 * passes over what stands behind one (measured on Bun 1.4.5).
 */
export class ZstdFrames {
  readonly #contentBytesMax: number;
  #part: Part = "magic";
  /** Bytes of the part that came, as far as they are looked at, and how many it has. */
  readonly #seen = new Uint8Array(16);
  #seenBytes = 0;
  #wantedBytes = 4;
  #skipBytes = 0;
  #descriptor = 0;
  #isLastBlock = false;
  /** What a decoder has to remember at most, as far as frames have come. */
  windowBytes = 0;

  /** `contentBytesMax`: what the decoded bytes may come to. */
  constructor(contentBytesMax: number) {
    this.#contentBytesMax = contentBytesMax;
  }

  /** Whole frames came, and nothing else. */
  get isAtEnd(): boolean {
    return this.#part === "magic" && this.#seenBytes === 0;
  }

  /** @throws Fault "badRequest" for bytes that are no zstd, or want more memory than the content may have. */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#part === "skip" || this.#part === "blockBody") {
        const count = Math.min(this.#skipBytes, bytes.length - at);
        this.#skipBytes -= count;
        at += count;
        if (this.#skipBytes === 0) this.#skipped();
        continue;
      }
      this.#seen[this.#seenBytes++] = bytes[at++]!;
      if (this.#seenBytes === this.#wantedBytes) this.#whole();
    }
  }

  #await(part: Part, wantedBytes: number): void {
    this.#part = part;
    this.#seenBytes = 0;
    this.#wantedBytes = wantedBytes;
  }

  #skip(part: "skip" | "blockBody", bytes: number): void {
    this.#part = part;
    this.#skipBytes = bytes;
    if (bytes === 0) this.#skipped();
  }

  #skipped(): void {
    if (this.#part === "skip") this.#await("magic", 4);
    else if (!this.#isLastBlock) this.#await("block", 3);
    else if ((this.#descriptor & 0x04) !== 0) this.#await("checksum", checksumBytes);
    else this.#await("magic", 4);
  }

  #whole(): void {
    switch (this.#part) {
      case "magic":
        this.#magic(this.#littleEndian(0, 4));
        break;
      case "skipSize":
        this.#skip("skip", this.#littleEndian(0, 4));
        break;
      case "descriptor":
        this.#descriptor = this.#seen[0]!;
        if ((this.#descriptor & 0x08) !== 0) throw bad("a reserved bit is set");
        this.#await("header", headerBytes(this.#descriptor));
        break;
      case "header":
        this.#header();
        this.#await("block", 3);
        break;
      case "block":
        this.#block(this.#littleEndian(0, 3));
        break;
      case "checksum":
        this.#await("magic", 4);
        break;
      default:
    }
  }

  #magic(magic: number): void {
    if (magic === frameMagic) this.#await("descriptor", 1);
    else if ((magic & skippableMask) >>> 0 === skippableMagic) this.#await("skipSize", 4);
    else throw bad("a frame does not begin as one");
  }

  #header(): void {
    const isSingle = (this.#descriptor & 0x20) !== 0;
    const dictionaryBytes = [0, 1, 2, 4][this.#descriptor & 3]!;
    const sizeAt = (isSingle ? 0 : 1) + dictionaryBytes;
    const sizeBytes = contentSizeBytes(this.#descriptor);
    if (this.#littleEndian(isSingle ? 0 : 1, dictionaryBytes) !== 0) {
      throw bad("it needs a dictionary");
    }
    let contentBytes = this.#littleEndian(sizeAt, sizeBytes);
    if (sizeBytes === 2) contentBytes += 256;
    if (sizeBytes > 0 && contentBytes > this.#contentBytesMax) {
      throw bad(`it announces ${contentBytes} bytes, of ${this.#contentBytesMax}`);
    }
    const window = this.#seen[0]!;
    const base = 2 ** (10 + (window >>> 3));
    const windowBytes = isSingle ? contentBytes : base + (base / 8) * (window & 7);
    if (windowBytes > windowBytesMax) {
      throw bad(`it needs a window of ${windowBytes} bytes, of at most ${windowBytesMax}`);
    }
    this.windowBytes = Math.max(this.windowBytes, windowBytes);
  }

  #block(header: number): void {
    this.#isLastBlock = (header & 1) !== 0;
    const type = (header >>> 1) & 3;
    const bytes = header >>> 3;
    if (type === 3 || (type !== 1 && bytes > blockBytesMax)) throw bad("a block has no known form");
    this.#skip("blockBody", type === 1 ? 1 : bytes);
  }

  #littleEndian(at: number, bytes: number): number {
    let value = 0;
    for (let i = bytes - 1; i >= 0; i--) value = value * 256 + this.#seen[at + i]!;
    return value;
  }
}

function contentSizeBytes(descriptor: number): number {
  const flag = descriptor >>> 6;
  if (flag === 0) return (descriptor & 0x20) !== 0 ? 1 : 0;
  return [0, 2, 4, 8][flag]!;
}

/** Window, dictionary and content size; at least one of them is there. */
function headerBytes(descriptor: number): number {
  const windowBytes = (descriptor & 0x20) !== 0 ? 0 : 1;
  return windowBytes + [0, 1, 2, 4][descriptor & 3]! + contentSizeBytes(descriptor);
}

function bad(why: string): Fault {
  return new Fault("badRequest", `Cannot decode the zstd bytes: ${why}`);
}

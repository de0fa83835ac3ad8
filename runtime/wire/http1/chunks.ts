import { headerLines } from "./head.ts";
import { chunkLineBytesMax, trailerBytesMax } from "./limits.ts";

const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const semicolon = 0x3b;
const tab = 0x09;
const space = 0x20;
const del = 0x7f;
/** 2^52 bytes in hex: no body is longer, and the number stays exact. */
const sizeDigitsMax = 13;

type At = "size" | "extension" | "sizeFeed" | "data" | "dataEnd" | "dataFeed" | "trailers" | "end";

/**
 * Takes the framing off a chunked body, strictly: digits, perhaps an extension, CR LF, the bytes, CR LF. Trailers are
 * passed over. Bytes may come in any pieces.
 * @source RFC 9112 section 7.1.
 */
export class ChunkDecoder {
  #at: At = "size";
  #leftBytes = 0;
  #digits = 0;
  #extensionBytes = 0;
  /** Lines after the last chunk, with their ends. */
  #trailers = "";

  get isEnded(): boolean {
    return this.#at === "end";
  }

  /**
   * Reads from `bytes` and gives the data in it to `take`, without copies. Returns how many bytes belonged to the body:
   * fewer than there are when it has ended; -1 when the framing is broken.
   */
  decode(bytes: Uint8Array, take: (data: Uint8Array) => void): number {
    let i = 0;
    while (i < bytes.length && this.#at !== "end") {
      if (this.#at === "data") {
        const count = Math.min(this.#leftBytes, bytes.length - i);
        take(bytes.subarray(i, i + count));
        this.#leftBytes -= count;
        i += count;
        if (this.#leftBytes === 0) this.#at = "dataEnd";
      } else if (!this.#step(bytes[i] ?? 0)) {
        return -1;
      } else {
        i += 1;
      }
    }
    return i;
  }

  /** One byte of framing; false when it has no place here. */
  #step(byte: number): boolean {
    switch (this.#at) {
      case "size":
        return this.#stepSize(byte);
      case "extension":
        return this.#stepExtension(byte);
      case "sizeFeed":
        return byte === lineFeed && this.#beginData();
      case "dataEnd":
        this.#at = "dataFeed";
        return byte === carriageReturn;
      case "dataFeed":
        this.#at = "size";
        return byte === lineFeed;
      case "trailers":
        return this.#stepTrailers(byte);
      default:
        return false;
    }
  }

  #stepSize(byte: number): boolean {
    const digit = hexDigit(byte);
    if (digit !== -1) {
      this.#digits += 1;
      this.#leftBytes = this.#leftBytes * 16 + digit;
      return this.#digits <= sizeDigitsMax;
    }
    if (this.#digits === 0) return false;
    if (byte === carriageReturn) this.#at = "sizeFeed";
    else if (byte === semicolon) this.#at = "extension";
    else return false;
    return true;
  }

  #stepExtension(byte: number): boolean {
    this.#extensionBytes += 1;
    if (this.#extensionBytes > chunkLineBytesMax) return false;
    if (byte === carriageReturn) {
      this.#at = "sizeFeed";
      return true;
    }
    return byte === tab || (byte >= space && byte !== del);
  }

  #beginData(): boolean {
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#at = this.#leftBytes === 0 ? "trailers" : "data";
    return true;
  }

  #stepTrailers(byte: number): boolean {
    if (this.#trailers.length >= trailerBytesMax) return false;
    this.#trailers += String.fromCharCode(byte);
    if (byte !== lineFeed) return true;
    const isLast = this.#trailers === "\r\n" || this.#trailers.endsWith("\r\n\r\n");
    if (isLast) this.#at = "end";
    return headerLines.test(isLast ? this.#trailers.slice(0, -2) : this.#trailers);
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

import { headerLines } from "./head.ts";
import { chunkLineBytesMax, trailerBytesMax } from "./limits.ts";

const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const semicolon = 0x3b;
/** Names, perhaps with a token or a quoted text as their value; without the spaces that RFC 9112 frowns on. */
const extensions =
  /^(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e]|\\[\t\x20-\x7e])*"))?)*$/;
/** What tells where a body ends has no place behind it, and some servers refuse it there. */
const framing = /^(?:content-length|transfer-encoding):/i;
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
  #extension = "";
  #trailerBytes = 0;
  /** The line after the last chunk that is being read. */
  #trailer = "";

  get isEnded(): boolean {
    return this.#at === "end";
  }

  /**
   * Reads from `bytes` and gives the data in it to `take`, in one piece: what stands behind framing is moved down over
   * it, so `bytes` must be the caller's own. A view for each chunk would let a client that sends single bytes hold a
   * hundred times the memory that its body counts. Returns how many bytes belonged to the body: fewer than there are
   * when it has ended; -1 when the framing is broken.
   */
  decode(bytes: Uint8Array, take: (data: Uint8Array) => void): number {
    let [i, startBytes, endBytes] = [0, 0, 0];
    let isSound = true;
    while (isSound && i < bytes.length && this.#at !== "end") {
      if (this.#at === "data") {
        const count = Math.min(this.#leftBytes, bytes.length - i);
        if (startBytes === endBytes) [startBytes, endBytes] = [i, i];
        else bytes.copyWithin(endBytes, i, i + count);
        endBytes += count;
        this.#leftBytes -= count;
        i += count;
        if (this.#leftBytes === 0) this.#at = "dataEnd";
      } else {
        isSound = this.#step(bytes[i] ?? 0);
        i += 1;
      }
    }
    if (endBytes > startBytes) take(bytes.subarray(startBytes, endBytes));
    return isSound ? i : -1;
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
    else if (byte === semicolon) this.#beginExtension();
    else return false;
    return true;
  }

  #beginExtension(): void {
    this.#at = "extension";
    this.#extension = ";";
  }

  #stepExtension(byte: number): boolean {
    if (byte === carriageReturn) {
      this.#at = "sizeFeed";
      return extensions.test(this.#extension);
    }
    this.#extension += String.fromCharCode(byte);
    return this.#extension.length <= chunkLineBytesMax;
  }

  #beginData(): boolean {
    this.#digits = 0;
    this.#extension = "";
    this.#at = this.#leftBytes === 0 ? "trailers" : "data";
    return true;
  }

  #stepTrailers(byte: number): boolean {
    this.#trailerBytes += 1;
    if (this.#trailerBytes > trailerBytesMax) return false;
    this.#trailer += String.fromCharCode(byte);
    if (byte !== lineFeed) return true;
    const line = this.#trailer;
    this.#trailer = "";
    if (line === "\r\n") this.#at = "end";
    else return headerLines.test(line) && !framing.test(line);
    return true;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

import { ConnectionFailure, errorCodes } from "./failure.ts";
import { type DecodedHeaders, HpackDecoder } from "./hpack-decoder.ts";
import { continuationsMax, headerBlockBytesMax } from "./limits.ts";

export type HeaderBlock = {
  readonly streamId: number;
  /** Nothing follows on the stream. */
  readonly isEnd: boolean;
  readonly decoded: DecodedHeaders;
  readonly isTooLarge: boolean;
};

/** Puts header blocks together that come in several frames, and decodes them. */
export class HeaderBlocks {
  readonly #decoder: HpackDecoder;
  readonly #listBytesMax: number;
  #streamId = 0;
  #isEnd = false;
  #parts: Uint8Array[] = [];
  #partBytes = 0;

  constructor(listBytesMax: number) {
    this.#decoder = new HpackDecoder(listBytesMax);
    this.#listBytesMax = listBytesMax;
  }

  /** A block has begun and not ended. */
  get isOpen(): boolean {
    return this.#streamId !== 0;
  }

  get openStreamId(): number | null {
    return this.#streamId === 0 ? null : this.#streamId;
  }

  /** The fragment must stay as it is until the block ends. */
  begin(streamId: number, isEnd: boolean, fragment: Uint8Array): void {
    this.#streamId = streamId;
    this.#isEnd = isEnd;
    this.#parts = [];
    this.#partBytes = 0;
    this.#add(fragment);
  }

  /** @throws ConnectionFailure for another stream than the block began on, and for blocks without an end. */
  add(streamId: number, fragment: Uint8Array): void {
    if (streamId === 0 || streamId !== this.#streamId) {
      throw new ConnectionFailure(
        errorCodes.protocolError,
        "CONTINUATION does not go on with a header block",
      );
    }
    this.#add(fragment);
  }

  /** @throws ConnectionFailure "compressionError". */
  end(): HeaderBlock {
    const [first] = this.#parts;
    const whole =
      this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts);
    const decoded = this.#decoder.decode(whole);
    const block = {
      streamId: this.#streamId,
      isEnd: this.#isEnd,
      decoded,
      isTooLarge: decoded.listBytes > this.#listBytesMax,
    };
    this.#streamId = 0;
    this.#parts = [];
    return block;
  }

  #add(fragment: Uint8Array): void {
    this.#partBytes += fragment.length;
    if (this.#parts.length > continuationsMax || this.#partBytes > headerBlockBytesMax) {
      const message = `A header block has more than ${headerBlockBytesMax} bytes or ${continuationsMax} pieces`;
      throw new ConnectionFailure(errorCodes.enhanceYourCalm, message);
    }
    this.#parts.push(fragment);
  }
}

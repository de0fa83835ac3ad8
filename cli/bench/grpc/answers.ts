import type { Blobs } from "./blobs.ts";

/** Looks at the answer to one call as it comes. */
export interface AnswerReader {
  /** `isSampled`: every byte of it is looked at. */
  begin(index: number, isSampled: boolean): void;
  data(bytes: Buffer, from: number, to: number): void;
  /** Whether everything was as it should be. Called once, at the end of an answer that the server calls a success. */
  end(): boolean;
}

const prefixBytes = 5;
const firstBytes = 4_096;

/** Whether a message answers the request of `index`. */
export type Judge = (message: Buffer, index: number) => boolean;

/**
 * Answers of one message. One that is not sampled is only as long as those that were found right: a server that
 * answers with an error in a message of success answers with another length.
 */
export class WholeAnswers implements AnswerReader {
  readonly #judge: Judge;
  #buffer = Buffer.allocUnsafe(firstBytes);
  #at = 0;
  #index = 0;
  #isSampled = false;
  #rightBytes = -1;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  begin(index: number, isSampled: boolean): void {
    this.#index = index;
    this.#isSampled = isSampled;
    this.#at = 0;
  }

  data(bytes: Buffer, from: number, to: number): void {
    const endBytes = this.#at + to - from;
    if (endBytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(2 * endBytes);
      this.#buffer.copy(larger, 0, 0, this.#at);
      this.#buffer = larger;
    }
    bytes.copy(this.#buffer, this.#at, from, to);
    this.#at = endBytes;
  }

  end(): boolean {
    if (!this.#isSampled && this.#at === this.#rightBytes) return true;
    if (this.#at < prefixBytes || this.#buffer[0] !== 0) return false;
    if (this.#buffer.readUInt32BE(1) !== this.#at - prefixBytes) return false;
    if (!this.#judge(this.#buffer.subarray(prefixBytes, this.#at), this.#index)) return false;
    this.#rightBytes = this.#at;
    return true;
  }
}

/** Tag of `ReadResponse.data`: field 10, with a length. */
const dataTag = 10 * 8 + 2;

type State = "prefix" | "tag" | "length" | "data";

/** The streamed answer to a read: messages that hold nothing but data, which is counted and, if sampled, compared. */
export class BlobAnswers implements AnswerReader {
  readonly #blobs: Blobs;
  #index = 0;
  #isSampled = false;
  #state: State = "prefix";
  #prefixAt = 0;
  #messageBytes = 0;
  #dataBytes = 0;
  #scale = 1;
  #blobBytes = 0;
  #isWrong = false;

  constructor(blobs: Blobs) {
    this.#blobs = blobs;
  }

  begin(index: number, isSampled: boolean): void {
    this.#index = index;
    this.#isSampled = isSampled;
    this.#blobBytes = 0;
    this.#isWrong = false;
    this.#beginMessage();
  }

  data(bytes: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to && !this.#isWrong) {
      if (this.#state === "data") at = this.#takeData(bytes, at, to);
      else this.#takeByte(bytes[at++]!);
    }
  }

  end(): boolean {
    const isAtStart = this.#state === "prefix" && this.#prefixAt === 0;
    return !this.#isWrong && isAtStart && this.#blobBytes === this.#blobs.sizeBytes;
  }

  #beginMessage(): void {
    this.#state = "prefix";
    this.#prefixAt = 0;
    this.#messageBytes = 0;
    this.#dataBytes = 0;
    this.#scale = 1;
  }

  #takeByte(byte: number): void {
    switch (this.#state) {
      case "prefix":
        if (this.#prefixAt === 0) this.#isWrong = byte !== 0;
        else this.#messageBytes = this.#messageBytes * 256 + byte;
        this.#prefixAt += 1;
        if (this.#prefixAt < prefixBytes) return;
        if (this.#messageBytes === 0) this.#beginMessage();
        else this.#state = "tag";
        return;
      case "tag":
        this.#isWrong = byte !== dataTag;
        this.#messageBytes -= 1;
        this.#state = "length";
        return;
      default:
        this.#dataBytes += (byte & 0x7f) * this.#scale;
        this.#scale *= 128;
        this.#messageBytes -= 1;
        if (byte >= 0x80) return;
        this.#isWrong = this.#dataBytes !== this.#messageBytes;
        this.#state = "data";
        if (this.#dataBytes === 0) this.#beginMessage();
    }
  }

  #takeData(bytes: Buffer, at: number, to: number): number {
    const count = Math.min(this.#dataBytes, to - at);
    if (this.#isSampled) {
      const blob = { index: this.#index, atBytes: this.#blobBytes };
      if (!this.#blobs.matches(blob, bytes, at, at + count)) this.#isWrong = true;
    }
    this.#blobBytes += count;
    this.#dataBytes -= count;
    if (this.#dataBytes === 0) this.#beginMessage();
    return at + count;
  }
}

import zlib from "node:zlib";
import { Fault } from "../../base/fault.ts";
import { KiB } from "../../base/units.ts";
import { ZstdFrames } from "../../wire/zstd-frames.ts";
import { CoderInput } from "./coder-input.ts";
import { badZstd, type TakePiece } from "./zstd.ts";

/** What a decoder holds beside its window. */
export const decoderBytes = 256 * KiB;

/**
 * Decodes bytes that come in pieces, and hands out what they come to as fast as it is taken.
 * A skippable frame brings nothing, so what comes over the wire is bounded as well.
 */
export class Decompressor {
  readonly #stream = zlib.createZstdDecompress();
  readonly #frames: ZstdFrames;
  readonly #wireBytesMax: number;
  readonly #hold: (windowBytes: number) => void;
  readonly #input = new CoderInput(this.#stream);
  readonly #running: Promise<void>;
  #isEnding = false;
  wireBytes = 0;

  /** `hold` is told how much memory the frames want, before they are decoded, and may throw. */
  constructor(sizeBytes: number, take: TakePiece, hold: (windowBytes: number) => void) {
    this.#hold = hold;
    this.#frames = new ZstdFrames(sizeBytes);
    this.#wireBytesMax = worstCaseBytes(sizeBytes);
    this.#running = this.#run(take);
    this.#running.then(
      () => {
        if (!this.#isEnding) this.#input.fail(badZstd("they go on behind their end"));
      },
      (error) => this.#input.fail(error),
    );
  }

  /** @throws Fault "badRequest" for bytes that are no zstd, and what the taker threw. */
  async push(bytes: Uint8Array): Promise<void> {
    this.wireBytes += bytes.length;
    if (this.wireBytes > this.#wireBytesMax) {
      throw badZstd(`${this.wireBytes} of them are more than any encoder makes of the blob`);
    }
    this.#frames.push(bytes);
    this.#hold(this.#frames.windowBytes);
    await this.#input.push(bytes);
  }

  /** Resolves when everything was taken. @throws as `push`. */
  async end(): Promise<void> {
    if (!this.#frames.isAtEnd) throw badZstd("they end in the middle of a frame");
    this.#isEnding = true;
    this.#stream.end();
    await this.#running;
  }

  /** Nothing is handed out after this. */
  async stop(): Promise<void> {
    this.#stream.destroy();
    await this.#running.catch(() => {});
  }

  async #run(take: TakePiece): Promise<void> {
    try {
      for await (const piece of this.#stream) await take(piece);
    } catch (error) {
      throw error instanceof Fault ? error : badZstd("they are damaged", error);
    }
  }
}

/** What zstd makes of bytes that cannot be compressed, and some room for empty frames. @source surfaces.md 5.7. */
function worstCaseBytes(sizeBytes: number): number {
  return sizeBytes + Math.ceil(sizeBytes / 256) + 64 * 1_024;
}

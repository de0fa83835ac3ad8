import type { ByteBudget } from "../../base/budget.ts";
import { Fault } from "../../base/fault.ts";
import type { IncomingBlob } from "./incoming-blob.ts";
import { Decompressor, decoderBytes } from "./zstd-decoder.ts";

/** What a client sends of a blob, in the form that it sends it in. */
export interface UploadBody {
  readonly blob: IncomingBlob;
  /** Where the client's next message begins, in the terms of the protocol. */
  readonly offsetBytes: number;
  /** Bytes of this call so far. */
  readonly wireBytes: number;
  /** As `IncomingBlob.add`; throws Fault "badRequest" too for bytes of another form. */
  add(data: Uint8Array): Promise<void> | null;
  /** Everything has come, and is in the blob then. @throws as `add`. */
  finish(): Promise<void>;
  /** Nothing more goes into the blob after this. */
  stop(): Promise<void>;
}

/** The bytes themselves. */
export class PlainBody implements UploadBody {
  readonly blob: IncomingBlob;
  readonly #startBytes: number;
  wireBytes = 0;

  /** `startBytes`: where the client goes on, at most as far as the blob has come. */
  constructor(blob: IncomingBlob, startBytes: number) {
    this.blob = blob;
    this.#startBytes = startBytes;
  }

  get offsetBytes(): number {
    return this.#startBytes + this.wireBytes;
  }

  /** Bytes that are here already are passed over: the digest tells in the end whether they were the same. */
  add(data: Uint8Array): Promise<void> | null {
    const knownBytes = Math.max(0, this.blob.receivedBytes - this.offsetBytes);
    this.wireBytes += data.length;
    if (knownBytes === 0) return this.blob.add(data);
    return knownBytes >= data.length ? null : this.blob.add(data.subarray(knownBytes));
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

/**
 * Bytes of zstd. The first offset counts bytes of the blob, and compressed bytes are added to it: so says the protocol.
 * @source remote_execution.proto, "Note that this mixes an uncompressed offset with a compressed byte length".
 */
export class CompressedBody implements UploadBody {
  readonly blob: IncomingBlob;
  readonly #startBytes: number;
  readonly #decompressor: Decompressor;
  readonly #coders: ByteBudget;
  #heldBytes = 0;

  /** Holds `decoderBytes` of the budget already, which are given back with the rest. */
  constructor(blob: IncomingBlob, coders: ByteBudget) {
    this.blob = blob;
    this.#coders = coders;
    this.#heldBytes = decoderBytes;
    this.#startBytes = blob.receivedBytes;
    const restBytes = blob.digest.sizeBytes - blob.receivedBytes;
    const take = async (piece: Uint8Array): Promise<void> => {
      await blob.add(piece);
    };
    this.#decompressor = new Decompressor(restBytes, take, (bytes) => this.#hold(bytes));
  }

  get offsetBytes(): number {
    return this.#startBytes + this.wireBytes;
  }

  get wireBytes(): number {
    return this.#decompressor.wireBytes;
  }

  add(data: Uint8Array): Promise<void> {
    return this.#decompressor.push(data);
  }

  finish(): Promise<void> {
    return this.#decompressor.end();
  }

  async stop(): Promise<void> {
    await this.#decompressor.stop();
    this.#coders.give(this.#heldBytes);
    this.#heldBytes = 0;
  }

  #hold(windowBytes: number): void {
    const moreBytes = decoderBytes + windowBytes - this.#heldBytes;
    if (moreBytes <= 0) return;
    if (!this.#coders.tryTake(moreBytes)) {
      const message = "Cannot decode one more upload now: too many are decoded; try again later";
      throw new Fault("overloaded", message);
    }
    this.#heldBytes += moreBytes;
  }
}

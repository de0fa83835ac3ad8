import { Fault } from "../../base/fault.ts";
import { BodyMemory } from "./body-memory.ts";
import { frame } from "./chunk-memory.ts";
import { ChunkDecoder } from "./chunks.ts";
import { bodyQueueBytesMax } from "./limits.ts";

type Waiter = { resolve: (chunk: Uint8Array | null) => void; reject: (fault: Fault) => void };

/** The connection that a body comes over. */
export type BodySource = {
  /** Somebody wants bytes: a client that waits for 100 Continue is told to go on, and reading goes on. */
  bodyWanted(): void;
  /** Reads on or stops, as there is room. */
  balance(): void;
  /** Where its bytes are counted while it holds them. */
  readonly memory: BodyMemory;
};

/** Of a body that is no connection's any more, or never was. */
export const noSource: BodySource = {
  bodyWanted: () => {},
  balance: () => {},
  memory: new BodyMemory(() => {}),
};

/**
 * Counted for each chunk in memory beside its bytes: about what the view and its buffer take, so that single bytes
 * crowd the queue as they should.
 */
const chunkCostBytes = 256;

/**
 * The body of a request on its way in. Chunks are views of what came from the socket and belong to whoever takes them.
 * A body is read once, by one reader.
 */
export class RequestBody {
  /** Content-Length, 0 when there is no body; null when it is chunked. */
  readonly lengthBytes: number | null;
  readonly #source: BodySource;
  readonly #decoder: ChunkDecoder | null;
  #leftBytes: number;
  /** Made for the first chunk that waits: most requests have none. */
  #queue: Uint8Array[] | null = null;
  #queuedBytes = 0;
  /** Queued or with the reader, without the cost of chunks. */
  #heldBytes = 0;
  #waiter: Waiter | null = null;
  #fault: Fault | null = null;
  #isDiscarded = false;
  #isSetAside = false;
  /** What it holds is counted as set aside. */
  #isCountedAside = false;
  /** With the reader. */
  #takenBytes = 0;
  #receivedBytes = 0;

  constructor(lengthBytes: number | null, source: BodySource) {
    this.lengthBytes = lengthBytes;
    this.#source = source;
    this.#leftBytes = lengthBytes ?? 0;
    this.#decoder = lengthBytes === null ? new ChunkDecoder() : null;
  }

  /** All of it has come from the client. */
  get isReceived(): boolean {
    return this.#decoder === null ? this.#leftBytes === 0 : this.#decoder.isEnded;
  }

  /** It has come and was taken, to its end: nothing of it is left on the connection or in memory. */
  get isTaken(): boolean {
    return this.isReceived && this.#queuedBytes === 0;
  }

  /** More has come than is being taken: no more should be read for a while. */
  get isCrowded(): boolean {
    return this.#queuedBytes >= bodyQueueBytesMax;
  }

  /** More of it may be read. */
  get hasRoom(): boolean {
    if (this.isDropped) return true;
    return !(this.isCrowded || this.#isSetAside || this.#source.memory.isFull);
  }

  /**
   * Its reader waits for something that other bodies may have to bring, room on the disk say. Until that has come no more
   * is read of it, and what has come counts elsewhere: it would keep the others from being read, and so for ever.
   */
  setAside(isSetAside: boolean): void {
    if (this.#isSetAside === isSetAside) return;
    const { memory } = this.#source;
    this.#isSetAside = isSetAside;
    if (isSetAside) this.#isCountedAside = memory.moveAside(this.#heldBytes);
    else if (this.#isCountedAside) {
      memory.holdAside(-this.#heldBytes);
      this.#isCountedAside = false;
      memory.hold(this.#heldBytes);
    }
    this.#source.balance();
  }

  /** What comes of it is looked at by nobody. */
  get isDropped(): boolean {
    return this.#isDiscarded || this.#fault !== null;
  }

  /** Bytes that have come, without the framing. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** The whole body if it has come in one piece, which most small ones do; else null, and nothing was taken. */
  takeWhole(): Uint8Array | null {
    if (this.#queue?.length !== 1 || !this.isReceived) return null;
    const [whole = null] = this.#queue;
    this.#letGo();
    return whole;
  }

  /**
   * The next bytes, or null at the end.
   * @throws Fault "clientClosed" when the connection ended before the body, "badRequest" when its chunks are
   * malformed, or what `stop` was called with.
   */
  next(): Promise<Uint8Array | null> {
    if (this.#fault !== null) return Promise.reject(this.#fault);
    // The reader is done with what it had.
    this.#hold(-this.#takenBytes);
    const chunk = this.#queue?.shift();
    this.#takenBytes = chunk?.length ?? 0;
    if (chunk !== undefined) {
      this.#queuedBytes -= chunk.length + chunkCostBytes;
      if (this.hasRoom) this.#source.bodyWanted();
      return Promise.resolve(chunk);
    }
    if (this.isReceived) return Promise.resolve(null);
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | null>();
    this.#waiter = { resolve, reject };
    this.#source.bodyWanted();
    return promise;
  }

  /** Wakes the reader with a fault, for good. */
  stop(fault: Fault): void {
    this.#fault ??= fault;
    this.#letGo();
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.reject(fault);
  }

  /** Nobody will read it: what comes of it is dropped. */
  discard(): void {
    this.#isDiscarded = true;
    this.#letGo();
    if (!this.isReceived) this.#source.bodyWanted();
  }

  /** Takes bytes from the connection; returns how many of them were the body's. -1: the framing is broken. */
  feed(bytes: Uint8Array): number {
    if (this.#decoder !== null) return this.#feedChunked(bytes, this.#decoder);
    if (bytes.length <= this.#leftBytes) {
      this.#leftBytes -= bytes.length;
      this.#accept(bytes);
      return bytes.length;
    }
    const count = this.#leftBytes;
    this.#leftBytes = 0;
    if (count > 0) this.#accept(bytes.subarray(0, count));
    return count;
  }

  #feedChunked(bytes: Uint8Array, decoder: ChunkDecoder): number {
    const count = decoder.decode(bytes, (data) => this.#accept(data));
    // The end of the buffer is not the start of another request.
    if (count === bytes.length) frame(bytes);
    if (count === -1) {
      this.stop(new Fault("badRequest", "Cannot read the body: its chunks are malformed"));
    } else if (decoder.isEnded) {
      this.#end();
    }
    return count;
  }

  #accept(chunk: Uint8Array): void {
    this.#receivedBytes += chunk.length;
    if (this.isDropped) return;
    this.#hold(chunk.length);
    const waiter = this.#waiter;
    if (waiter !== null) {
      this.#waiter = null;
      this.#takenBytes = chunk.length;
      waiter.resolve(chunk);
      return;
    }
    this.#queue ??= [];
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length + chunkCostBytes;
  }

  #hold(bytes: number): void {
    if (bytes === 0) return;
    this.#heldBytes += bytes;
    if (this.#isCountedAside) this.#source.memory.holdAside(bytes);
    else this.#source.memory.hold(bytes);
  }

  #letGo(): void {
    this.#queue = null;
    this.#queuedBytes = 0;
    this.#takenBytes = 0;
    this.#hold(-this.#heldBytes);
  }

  /** The last chunk had no bytes, so whoever waits for some is told. */
  #end(): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.resolve(null);
  }
}

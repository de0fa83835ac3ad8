import { ConnectionFailure, errorCodes, StreamFailure } from "./failure.ts";
import { firstWindowBytes, frameFlags, frameTypes, windowBytesMax } from "./frames.ts";
import type { Outbox } from "./outbox.ts";
import type { PeerSettings } from "./peer-settings.ts";
import type { Stream } from "./stream.ts";

const headersKind = frameTypes.headers * 256 + frameFlags.endHeaders;
const dataKind = frameTypes.data * 256;
/** Longer frames would only make the others wait. */
const ownFrameBytesMax = 16_384;
/** The size of the client's table becomes 0. @source RFC 7541, section 6.3. */
const tableUpdate = Uint8Array.of(0x20);

/** Sends what streams have, in turns, within the windows of the client and as long as the socket takes it. */
export class Sender {
  readonly #outbox: Outbox;
  readonly #peer: PeerSettings;
  readonly #onEnd: (stream: Stream) => void;
  /** Streams with something to send that their own window allows, in turn. */
  #ready: Stream[] = [];
  /** Those of them that wait for the window of the connection. */
  #waiting: Stream[] = [];
  #windowBytes = firstWindowBytes;
  /** Frames of answers so far. */
  frames = 0;

  constructor(outbox: Outbox, peer: PeerSettings, onEnd: (stream: Stream) => void) {
    this.#outbox = outbox;
    this.#peer = peer;
    this.#onEnd = onEnd;
  }

  headers(streamId: number, block: Uint8Array, isEnd: boolean): void {
    const kind = isEnd ? headersKind | frameFlags.endStream : headersKind;
    this.frames += 1;
    if (this.#peer.awaitsTableUpdate) {
      this.#peer.awaitsTableUpdate = false;
      this.#outbox.frame(kind, streamId, block.length + tableUpdate.length);
      this.#outbox.bytes(tableUpdate);
    } else {
      this.#outbox.frame(kind, streamId, block.length);
    }
    this.#outbox.bytes(block);
  }

  list(stream: Stream): void {
    if (stream.isListed || stream.isReset) return;
    stream.isListed = true;
    this.#ready.push(stream);
  }

  unlist(stream: Stream): void {
    if (!stream.isListed) return;
    stream.isListed = false;
    this.#ready = this.#ready.filter((each) => each !== stream);
    this.#waiting = this.#waiting.filter((each) => each !== stream);
  }

  /** @throws ConnectionFailure "flowControlError" when the window would be larger than any. */
  widenAll(bytes: number): void {
    this.#windowBytes += bytes;
    if (this.#windowBytes > windowBytesMax) {
      throw new ConnectionFailure(errorCodes.flowControlError, "The window is too large");
    }
    if (this.#waiting.length === 0 || this.#windowBytes <= 0) return;
    for (const stream of this.#waiting) this.#ready.push(stream);
    this.#waiting = [];
  }

  /** @throws StreamFailure "flowControlError" as `widenAll`. */
  widen(stream: Stream, bytes: number): void {
    stream.sendWindowBytes += bytes;
    if (stream.sendWindowBytes > windowBytesMax) {
      throw new StreamFailure(errorCodes.flowControlError, stream.id, "The window is too large");
    }
    if (stream.hasBytes) this.list(stream);
  }

  /** The client has changed what windows begin with: those of open streams follow, below zero if need be. */
  shiftAll(streams: Iterable<Stream>, bytes: number): void {
    for (const stream of streams) {
      stream.sendWindowBytes += bytes;
      if (stream.sendWindowBytes > windowBytesMax) {
        throw new ConnectionFailure(errorCodes.flowControlError, "A window is too large");
      }
      if (stream.hasBytes) this.list(stream);
    }
  }

  run(): void {
    if (this.#ready.length === 0 || this.#outbox.isBlocked) return;
    this.#outbox.beginBulk();
    while (!this.#outbox.isBlocked) {
      const stream = this.#ready.shift();
      if (stream === undefined) break;
      const state = this.#sendOne(stream);
      if (state === "more") this.#ready.push(stream);
      else if (state === "connectionFull") this.#waiting.push(stream);
      else stream.isListed = false;
      if (state === "done" && !stream.isReset) this.#ended(stream);
    }
    this.#outbox.endBulk();
  }

  #sendOne(stream: Stream): "more" | "done" | "windowFull" | "connectionFull" {
    if (stream.hasBytes) {
      if (stream.sendWindowBytes <= 0) return "windowFull";
      if (this.#windowBytes <= 0) return "connectionFull";
      const isEnd = this.#sendData(stream);
      if (stream.hasBytes) return "more";
      if (isEnd) return "done";
    }
    const trailers = stream.dueTrailers;
    if (trailers !== null) {
      this.headers(stream.id, trailers, true);
      stream.isLocalEnded = true;
    } else if (stream.isEndDue && !stream.isLocalEnded) {
      this.#outbox.frame(dataKind | frameFlags.endStream, stream.id, 0);
      stream.isLocalEnded = true;
    }
    return "done";
  }

  /** One frame; true when it is the last one of the answer. */
  #sendData(stream: Stream): boolean {
    const bytesMax = Math.min(
      stream.sendWindowBytes,
      this.#windowBytes,
      this.#peer.frameBytesMax,
      ownFrameBytesMax,
    );
    if (!this.#outbox.hasBulkRoom(bytesMax)) this.#outbox.flush();
    const head = stream.nextHead(bytesMax);
    const headBytes = head?.length ?? 0;
    const bytes = stream.nextBytes(bytesMax - headBytes);
    const isEnd = stream.endsHere;
    const kind = isEnd ? dataKind | frameFlags.endStream : dataKind;
    const frameBytes = headBytes + bytes.length;
    this.#outbox.frame(kind, stream.id, frameBytes);
    if (head !== null) this.#outbox.bytes(head);
    this.#outbox.bytes(bytes);
    this.frames += 1;
    stream.sendWindowBytes -= frameBytes;
    this.#windowBytes -= frameBytes;
    if (isEnd) stream.isLocalEnded = true;
    return isEnd;
  }

  #ended(stream: Stream): void {
    if (stream.isLocalEnded) this.#onEnd(stream);
    else stream.sink?.drained();
  }
}

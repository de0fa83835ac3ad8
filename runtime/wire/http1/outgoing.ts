import { assert } from "../../base/assert.ts";
import { type Clock, systemClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { kernelSendAhead } from "../../base/kernel-send.ts";
import type { AnswerBody } from "./answer.ts";
import { writeLatin1 } from "./latin1.ts";
import {
  joinedBodyBytesMax,
  nudgeBytesMax,
  roomWaitMs,
  sendFileBytesMax,
  sendPieceBytesMax,
  sendTurnBytesMax,
} from "./limits.ts";
import type { Socket } from "./socket.ts";

type FileBody = Extract<AnswerBody, { at: "file" }>;

export type OutgoingEvents = {
  /** An answer has gone or never will: called once for each, perhaps before `send` returns. */
  readonly done: (isDelivered: boolean) => void;
  /** Others have had their turn: `drain` sends more. */
  readonly turn: () => void;
};

/** One for all connections: what does not fit into a socket at once is copied out of it. */
const scratch = Buffer.allocUnsafeSlow(joinedBodyBytesMax + 32 * 1024);

/**
 * Writes one answer at a time into a socket, as fast as the other side takes it and without holding more than what a
 * single write left over.
 *
 * A file is sent by the kernel. When the socket is full the kernel says so to us, but not to Bun, which tells of new
 * room only after a short write of its own. So after a moment, in which a fast client makes room, a few bytes are
 * written the ordinary way: either they go, and there was room after all, or Bun watches the socket from then on
 * (measured on 1.4.5). Where the kernel cannot send at all, the same bytes carry the whole body, slowly but surely.
 */
export class Outgoing {
  readonly #socket: Socket;
  readonly #isTls: boolean;
  readonly #after: Clock["after"];
  readonly #events: OutgoingEvents;
  #rest: Uint8Array | null = null;
  #file: FileBody | null = null;
  #fileAtBytes = 0;
  #isBusy = false;
  /** The loop will call us back to send more. */
  #hasTurn = false;
  /** The kernel took nothing at the last call. */
  #wasFull = false;
  /** Counts up with everything that went out: a sender that stands still is given up by its connection. */
  progress = 0;

  /** `after`: it is the kernel that is waited for, so the time of the machine counts, whatever clock the node has. */
  constructor(
    socket: Socket,
    isTls: boolean,
    events: OutgoingEvents,
    after: Clock["after"] = systemClock.after,
  ) {
    this.#socket = socket;
    this.#after = after;
    this.#isTls = isTls;
    this.#events = events;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  send(head: string, body: AnswerBody): void {
    assert(!this.#isBusy, "one answer goes out at a time");
    this.#isBusy = true;
    const headBytes = writeLatin1(scratch, head, 0);
    switch (body.at) {
      case "bytes":
        this.#sendBytes(headBytes, body.bytes);
        break;
      case "file":
        this.#file = body;
        this.#fileAtBytes = body.startBytes;
        this.#writeAhead(body, headBytes);
        break;
      default:
        this.#writeScratch(headBytes);
    }
    this.#goOn();
  }

  /** An interim answer, between others. */
  sendInterim(text: string): void {
    assert(!this.#isBusy, "nothing else is going out");
    this.#writeScratch(writeLatin1(scratch, text, 0));
  }

  /** The socket has room again. */
  drain(): void {
    const rest = this.#rest;
    if (rest !== null) {
      this.#rest = null;
      this.#write(rest);
    }
    this.#goOn();
  }

  /** The connection is gone. */
  abandon(): void {
    this.#rest = null;
    if (this.#isBusy) this.#end(false);
  }

  #sendBytes(headBytes: number, bytes: Uint8Array): void {
    if (bytes.length <= joinedBodyBytesMax) {
      scratch.set(bytes, headBytes);
      this.#writeScratch(headBytes + bytes.length);
      return;
    }
    this.#writeScratch(headBytes);
    this.#write(bytes);
  }

  /** The head of a file goes out in one packet with its first bytes; without any it would be held back for 200 ms. */
  #writeAhead({ file, startBytes, endBytes }: FileBody, headBytes: number): void {
    const mayWait = this.#rest === null && startBytes < endBytes;
    const socket = mayWait ? this.#kernelSocket(file) : null;
    const count = socket === null ? 0 : kernelSendAhead(socket, scratch, headBytes);
    this.progress += count;
    if (count < headBytes) this.#write(scratch.subarray(count, headBytes));
  }

  /** The first bytes of the scratch buffer, without a view of them where the socket takes them all: a view costs 0.2 us. */
  #writeScratch(length: number): void {
    if (this.#rest !== null) {
      this.#write(scratch.subarray(0, length));
      return;
    }
    const count = Math.max(0, this.#socket.write(scratch, 0, length));
    this.progress += count;
    if (count < length) this.#rest = new Uint8Array(scratch.subarray(count, length));
  }

  /** What the socket does not take is kept; from the scratch buffer as a copy, since others will use it. */
  #write(bytes: Uint8Array): void {
    if (this.#rest !== null) {
      this.#rest = Buffer.concat([this.#rest, bytes]);
      return;
    }
    const count = Math.max(0, this.#socket.write(bytes));
    this.progress += count;
    if (count === bytes.length) return;
    const left = bytes.subarray(count);
    this.#rest = bytes.buffer === scratch.buffer ? new Uint8Array(left) : left;
  }

  /** Sends what the socket takes now, and ends the answer when nothing is left of it. */
  #goOn(): void {
    if (!this.#isBusy || this.#rest !== null || this.#hasTurn) return;
    const file = this.#file;
    if (file !== null && !this.#sendFile(file)) return;
    this.#end(true);
  }

  /** False while there is more to come. */
  #sendFile(body: FileBody): boolean {
    let turnBytes = 0;
    while (this.#fileAtBytes < body.endBytes) {
      const count = this.#sendPiece(body);
      if (count < 0) return false;
      this.#fileAtBytes += count;
      this.progress += count;
      turnBytes += count;
      if (turnBytes >= sendTurnBytesMax && this.#fileAtBytes < body.endBytes) {
        this.#takeTurn();
        return false;
      }
    }
    return true;
  }

  /** Goes on after others had their turn; only ever one at a time, or each one would bring forth others. */
  #takeTurn(): void {
    if (this.#hasTurn) return;
    this.#hasTurn = true;
    setImmediate(() => {
      this.#hasTurn = false;
      this.#events.turn();
    });
  }

  /** A client that reads on makes room for a large piece in this time; nudged at once it has made room for the nudge. */
  #waitForRoom(): void {
    if (this.#hasTurn) return;
    this.#hasTurn = true;
    this.#after(roomWaitMs, () => {
      this.#hasTurn = false;
      this.#events.turn();
    });
  }

  /** Bytes of the file that went; -1 when the rest must wait or will never go. */
  #sendPiece({ file, endBytes }: FileBody): number {
    const leftBytes = endBytes - this.#fileAtBytes;
    const socket = this.#kernelSocket(file);
    if (socket === null) return this.#copyPiece(file, leftBytes);
    const range = { atBytes: this.#fileAtBytes, bytes: Math.min(leftBytes, sendFileBytesMax) };
    const count = file.sendTo?.(socket, range) ?? -1;
    if (count > 0) {
      this.#wasFull = false;
      return count;
    }
    if (count < 0 && !this.#wasFull) {
      this.#wasFull = true;
      this.#waitForRoom();
      return -1;
    }
    return this.#copyPiece(file, count === 0 ? 0 : Math.min(leftBytes, nudgeBytesMax));
  }

  /** The descriptor into which the kernel may send this file; null where bytes have to pass through here. */
  #kernelSocket(file: FileBody["file"]): number | null {
    if (this.#isTls || file.sendTo === undefined) return null;
    return this.#socket.fd ?? null;
  }

  /** Reads and writes one piece; what the socket does not take is kept and counts as gone. */
  #copyPiece(file: FileBody["file"], wishBytes: number): number {
    const length = Math.min(wishBytes, sendPieceBytesMax);
    const piece = scratch.subarray(0, length);
    if (length === 0 || !fill(piece, file, this.#fileAtBytes)) {
      // What was promised cannot be sent any more, so the client must not take what it has for all.
      this.#socket.terminate();
      return -1;
    }
    const count = Math.max(0, this.#socket.write(piece));
    if (count === length) return length;
    // By the kernel the rest of the piece goes as well; over TLS it has to be kept.
    if (this.#kernelSocket(file) !== null) {
      this.#fileAtBytes += count;
      this.progress += count;
      return -1;
    }
    this.#rest = new Uint8Array(piece.subarray(count));
    this.#fileAtBytes += length;
    this.progress += count;
    return -1;
  }

  #end(isDelivered: boolean): void {
    this.#isBusy = false;
    const file = this.#file;
    this.#file = null;
    file?.close();
    this.#events.done(isDelivered);
  }
}

/** False when the file is shorter than it was vouched for, or cannot be read: a bad disk is not the program's fault. */
function fill(piece: Uint8Array, file: FileBody["file"], atBytes: number): boolean {
  try {
    return file.read(piece, atBytes) === piece.length;
  } catch (error) {
    if (error instanceof Fault) return false;
    throw error;
  }
}

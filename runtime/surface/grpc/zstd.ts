import zlib from "node:zlib";
import { Fault } from "../../base/fault.ts";
import { ZstdFrames } from "../../wire/zstd-frames.ts";

/** As in the reference. @source surfaces.md 5.6. */
const level = 3;
/** Shorter blobs hardly shrink. @source surfaces.md 5.6. */
export const compressedBytesMin = 64;

export const zstdOptions = { params: { [zlib.constants.ZSTD_c_compressionLevel]: level } } as const;

/** A whole blob in one frame. */
export function compress(bytes: Uint8Array): Uint8Array {
  return zlib.zstdCompressSync(bytes, zstdOptions);
}

/**
 * The blob in zstd bytes.
 * @throws Fault "badRequest" when they are not whole frames that come to exactly so many bytes.
 */
export function decompress(bytes: Uint8Array, sizeBytes: number): Uint8Array {
  const frames = new ZstdFrames(sizeBytes);
  frames.push(bytes);
  if (!frames.isAtEnd) throw badZstd("they end in the middle of a frame");
  let decoded: Uint8Array;
  try {
    decoded = zlib.zstdDecompressSync(bytes, { maxOutputLength: Math.max(1, sizeBytes) });
  } catch (cause) {
    throw badZstd(`they are damaged, or more than ${sizeBytes} bytes`, cause);
  }
  if (decoded.length !== sizeBytes)
    throw badZstd(`they are ${decoded.length} bytes, not ${sizeBytes}`);
  return decoded;
}

/** What takes the bytes that a coder makes, one piece at a time. */
export type TakePiece = (bytes: Uint8Array) => Promise<void>;

export function badZstd(why: string, cause?: unknown): Fault {
  const message = `Cannot decode the zstd bytes: ${why}`;
  return new Fault("badRequest", message, cause === undefined ? {} : { cause });
}

import { ConnectionFailure, errorCodes } from "./failure.ts";
import { frameFlags } from "./frames.ts";

/** Without the bit that means nothing. */
const idMask = 0x7fff_ffff;

/** A header block without padding and priority. @source RFC 9113, section 6.2. */
export function cutHeaders(
  flags: number,
  payload: Uint8Array,
): { fragment: Uint8Array; dependsOn: number | null } {
  let start = 0;
  let end = payload.length;
  if ((flags & frameFlags.padded) !== 0) {
    start = 1;
    end -= payload[0] ?? 0;
  }
  let dependsOn: number | null = null;
  if ((flags & frameFlags.priority) !== 0) {
    if (payload.length < start + 5) {
      throw new ConnectionFailure(errorCodes.frameSizeError, "HEADERS end within their priority");
    }
    dependsOn = uint31(payload, start);
    start += 5;
  }
  if (start > end)
    throw new ConnectionFailure(errorCodes.protocolError, "The padding is longer than the frame");
  return { fragment: payload.subarray(start, end), dependsOn };
}

/** 31 bits, as stream numbers and windows have them. */
export function uint31(bytes: Uint8Array, at: number): number {
  const word = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  return word & idMask;
}

import { Fault } from "../../base/fault.ts";
import { quoteText } from "../../catalog/text.ts";
import type { HeaderList } from "../../wire/http1/headers.ts";

/** Header of a declared SHA-256, and the attribute under which it is kept and returned. */
export const checksumHeader = "tuist-checksum-sha256";

const hexOfSha256 = /^[0-9a-fA-F]{64}$/;

/**
 * The checksum that an upload declares, as 32 bytes; null when it declares none.
 * @throws Fault "badRequest" when it is not 64 hex digits.
 */
export function declaredChecksum(headers: HeaderList): Uint8Array | null {
  const text = headers.get(checksumHeader);
  if (text === null) return null;
  if (!hexOfSha256.test(text)) {
    throw new Fault(
      "badRequest",
      `Cannot read ${checksumHeader}: ${quoteText(text)} is not 64 hex digits`,
    );
  }
  return new Uint8Array(Buffer.from(text, "hex"));
}

import { Fault } from "../base/fault.ts";
import type { UploadLimits } from "./multipart.ts";
import type { OpenUpload } from "./multipart-open.ts";
import type { PartRow } from "./multipart-rows.ts";

/** 2 GiB in parts of 10 MiB are 205; a client that sends far smaller ones must end too. @source storage-and-mesh.md 3.5. */
const partsMax = 10_000;

export type Growth = {
  readonly number: number;
  readonly addedBytes: number;
  /** The part whose place it takes. */
  readonly before: PartRow | null;
  readonly limits: UploadLimits;
};

/** @throws Fault "unprocessable" when an upload would have too many bytes or parts. */
export function checkGrowth(upload: OpenUpload, growth: Growth): void {
  const { number, addedBytes, before, limits } = growth;
  const totalBytes = upload.sizeBytes + addedBytes - (before?.sizeBytes ?? 0);
  if (totalBytes > limits.totalBytesMax) {
    throw new Fault(
      "unprocessable",
      `Cannot take part ${number}: ${totalBytes} bytes in all exceed the limit of ${limits.totalBytesMax}`,
    );
  }
  if (before === null && upload.partCount >= partsMax) {
    throw new Fault(
      "unprocessable",
      `Cannot take part ${number}: an upload has ${partsMax} parts at most`,
    );
  }
}

/**
 * Compares the parts that are there with those that were named; both ascending. Returns the bytes of all.
 * @throws Fault "badRequest" when they are not the same or there is none, "unprocessable" over the limit.
 * @source surfaces.md 4.4.
 */
export function checkNamed(
  parts: readonly PartRow[],
  numbers: readonly number[],
  limits: UploadLimits,
): number {
  const isSame =
    parts.length === numbers.length && parts.every(({ number }, i) => number === numbers[i]);
  if (parts.length === 0 || !isSame) {
    throw new Fault(
      "badRequest",
      `Cannot complete the upload: ${numbers.length} parts were named and ${parts.length} are there; name each of them once, in ascending order`,
    );
  }
  const sizeBytes = sumOf(parts);
  if (sizeBytes <= limits.totalBytesMax) return sizeBytes;
  throw new Fault(
    "unprocessable",
    `Cannot complete the upload: ${sizeBytes} bytes exceed the limit of ${limits.totalBytesMax}`,
  );
}

export function sumOf(parts: readonly PartRow[]): number {
  return parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

export function tooManyOpen({ activeMax }: UploadLimits): Fault {
  return new Fault(
    "overloaded",
    `Cannot start an upload: ${activeMax} are open, which is the most (KURA_MULTIPART_MAX_ACTIVE_UPLOADS); complete one or try again later`,
  );
}

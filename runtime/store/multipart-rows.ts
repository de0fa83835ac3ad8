/** An upload in parts, as the index keeps it. `createdMs` is wall time. */
export type UploadRow = {
  readonly id: Uint8Array;
  readonly producer: number;
  readonly tenant: string;
  readonly namespace: string;
  readonly key: string;
  readonly createdMs: number;
};

/** With sums over its parts; `fileHigh` is the highest number of their files, 0 without any. */
export type UploadTotals = UploadRow & {
  readonly partBytes: number;
  readonly partCount: number;
  readonly fileHigh: number;
};

/** A part that has arrived whole. `file` is the number of its file, `crc` the CRC-32 of its bytes. */
export type PartRow = {
  readonly uploadId: Uint8Array;
  readonly number: number;
  readonly sizeBytes: number;
  readonly file: number;
  readonly crc: number;
};

/**
 * The rows of uploads, in the index but not in the log. Each call is one transaction; a power cut may take back the
 * last ones, in order. Only the committing thread writes. Throws as `Index` does.
 */
export interface UploadRows {
  /** All uploads with the sums of their parts. */
  uploads(): UploadTotals[];
  /** Parts of an upload, by ascending number. */
  parts(uploadId: Uint8Array): PartRow[];
  part(uploadId: Uint8Array, number: number): PartRow | null;
  putUpload(row: UploadRow): void;
  /** In place of the part with this number. */
  putPart(row: PartRow): void;
  removePart(uploadId: Uint8Array, number: number): void;
  /** An upload with its parts. */
  removeUpload(uploadId: Uint8Array): void;
}

import { bytesKey } from "../../runtime/store/identity.ts";
import type {
  PartRow,
  UploadRow,
  UploadRows,
  UploadTotals,
} from "../../runtime/store/multipart-rows.ts";

/** The rows of uploads, as transactions make them. */
export class UploadState {
  readonly uploads = new Map<string, UploadRow>();
  /** By upload and then by number. */
  readonly parts = new Map<string, Map<number, PartRow>>();

  copyInto(target: UploadState): void {
    for (const [key, row] of this.uploads) target.uploads.set(key, row);
    for (const [key, parts] of this.parts) target.parts.set(key, new Map(parts));
  }

  partsOf(uploadId: Uint8Array): PartRow[] {
    const parts = [...(this.parts.get(bytesKey(uploadId))?.values() ?? [])];
    return parts.sort((left, right) => left.number - right.number);
  }
}

/** The rows of uploads in the simulated index. */
export class SimUploadRows implements UploadRows {
  readonly #state: () => UploadState;
  readonly #commit: (change: (state: UploadState) => void) => void;

  constructor(state: () => UploadState, commit: (change: (state: UploadState) => void) => void) {
    this.#state = state;
    this.#commit = commit;
  }

  uploads(): UploadTotals[] {
    return [...this.#state().uploads.values()].map((row) => {
      const parts = this.parts(row.id);
      return {
        ...row,
        partBytes: parts.reduce((sum, part) => sum + part.sizeBytes, 0),
        partCount: parts.length,
        fileHigh: Math.max(0, ...parts.map((part) => part.file)),
      };
    });
  }

  parts(uploadId: Uint8Array): PartRow[] {
    return this.#state().partsOf(uploadId);
  }

  part(uploadId: Uint8Array, number: number): PartRow | null {
    return this.#state().parts.get(bytesKey(uploadId))?.get(number) ?? null;
  }

  putUpload(row: UploadRow): void {
    const { id, producer, tenant, namespace, key, createdMs } = row;
    const kept = { id: Uint8Array.from(id), producer, tenant, namespace, key, createdMs };
    this.#commit((state) => void state.uploads.set(bytesKey(id), kept));
  }

  putPart(row: PartRow): void {
    const kept = { ...row, uploadId: Uint8Array.from(row.uploadId) };
    this.#commit((state) => {
      const key = bytesKey(row.uploadId);
      const parts = state.parts.get(key) ?? new Map<number, PartRow>();
      state.parts.set(key, parts.set(row.number, kept));
    });
  }

  removePart(uploadId: Uint8Array, number: number): void {
    this.#commit((state) => void state.parts.get(bytesKey(uploadId))?.delete(number));
  }

  removeUpload(uploadId: Uint8Array): void {
    this.#commit((state) => {
      state.uploads.delete(bytesKey(uploadId));
      state.parts.delete(bytesKey(uploadId));
    });
  }
}

import type { PartFiles } from "./multipart-files.ts";
import type { OpenUpload } from "./multipart-open.ts";
import type { PartRow, UploadRows } from "./multipart-rows.ts";
import type { StoreNote } from "./open.ts";

/** Parts looked at or removed before the loop has a turn. */
const stepsPerTurn = 16;

export type ReconcileOptions = {
  readonly files: PartFiles;
  /** Files that were there at the start, without those on their way in. */
  readonly found: readonly number[];
  readonly uploads: readonly OpenUpload[];
  readonly rows: () => UploadRows;
  readonly isOpen: (upload: OpenUpload) => boolean;
  /** Its artifact exists: whoever wants to complete it has nothing left to do. */
  readonly isFinished: (upload: OpenUpload) => boolean;
  readonly end: (upload: OpenUpload) => void;
  readonly drop: (upload: OpenUpload, part: PartRow) => void;
  readonly mayGoOn: () => boolean;
  readonly nextTurn: () => Promise<void>;
  readonly note: StoreNote;
};

/**
 * Makes rows and part files agree after a start: uploads of what exists end, rows whose file is not there in full go,
 * and so do files that no row names. Parts that arrive meanwhile have later numbers and are left alone.
 */
export async function reconcile(options: ReconcileOptions): Promise<void> {
  const { files, found, note, mayGoOn } = options;
  const pace = new Pace(options.nextTurn);
  const named = new Set<number>();
  const counts = { finished: 0, parts: 0, files: 0 };
  for (const upload of options.uploads) {
    if (!options.isOpen(upload)) continue;
    if (options.isFinished(upload) && !upload.isCompleting) {
      options.end(upload);
      counts.finished += 1;
      continue;
    }
    for (const part of options.rows().parts(upload.idBytes)) {
      await pace.step();
      if (!mayGoOn()) return;
      if (!options.isOpen(upload)) break;
      named.add(part.file);
      if (files.sizeBytes(part.file) === part.sizeBytes) continue;
      options.drop(upload, part);
      counts.parts += 1;
    }
  }
  for (const file of found) {
    if (named.has(file)) continue;
    await pace.step();
    if (!mayGoOn()) return;
    files.remove(file);
    counts.files += 1;
  }
  if (counts.finished + counts.parts + counts.files > 0) note("uploads reconciled", counts);
}

class Pace {
  readonly #nextTurn: () => Promise<void>;
  #steps = 0;

  constructor(nextTurn: () => Promise<void>) {
    this.#nextTurn = nextTurn;
  }

  async step(): Promise<void> {
    this.#steps += 1;
    if (this.#steps % stepsPerTurn === 0) await this.#nextTurn();
  }
}

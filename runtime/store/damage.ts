import { asFault } from "../base/fault.ts";
import type { CatalogView } from "./catalog-view.ts";
import type { IndexHome } from "./index.ts";
import type { StoreNote } from "./open.ts";
import type { Manifest } from "./store.ts";

/** Damage that was met: counted, told once, and remembered where the next start must know of it. */
export class DamageLedger {
  readonly #home: IndexHome;
  readonly #note: StoreNote;
  #damagedBodies = 0;
  #isIndexSuspect = false;

  constructor(options: { home: IndexHome; note: StoreNote }) {
    this.#home = options.home;
    this.#note = options.note;
  }

  get damagedBodies(): number {
    return this.#damagedBodies;
  }

  /** The index is not to be believed in what it does not say; the next start makes it anew. */
  get isIndexSuspect(): boolean {
    return this.#isIndexSuspect;
  }

  /** Quarantines an artifact. `isIndexWrong`: a whole record of another artifact lies at its place. */
  noteBody(view: CatalogView, manifest: Manifest, isIndexWrong: boolean): void {
    if (view.quarantine.holds(manifest.id, manifest.version)) return;
    view.quarantine.add(manifest.id, manifest.version);
    view.cache.drop(manifest.id);
    this.#damagedBodies += 1;
    const { file, offsetBytes, sizeBytes } = manifest;
    const id = Buffer.from(manifest.id).toString("hex");
    this.#note("damaged artifact", { id, file, offsetBytes, sizeBytes, isIndexWrong });
    if (isIndexWrong) this.suspectIndex("a row names the place of another artifact");
  }

  suspectIndex(reason: string): void {
    if (this.#isIndexSuspect) return;
    this.#isIndexSuspect = true;
    this.#note("index suspect", { reason });
    try {
      this.#home.markSuspect(reason);
    } catch (error) {
      this.#note("index not marked", { reason: asFault(error).message });
    }
  }

  /** The index was opened or made anew, and is what the log says. */
  trustIndex(): void {
    this.#isIndexSuspect = false;
  }
}

import { asFault } from "../base/fault.ts";
import { type CatalogView, peekRow } from "./catalog-view.ts";
import type { IndexHome } from "./index.ts";
import type { StoreNote } from "./open.ts";
import type { Manifest } from "./store.ts";

/**
 * Is told of each artifact found damaged, once, and says what becomes of it: "missed" until somebody writes it again,
 * "asked" when it is being fetched from where it is whole.
 */
export type OnDamaged = (manifest: Manifest) => "missed" | "asked";

/** Damage that was met: counted, told once, and remembered where the next start must know of it. */
export class DamageLedger {
  readonly #home: IndexHome;
  readonly #note: StoreNote;
  readonly #onDamaged: OnDamaged;
  #damagedBodies = 0;
  #isIndexSuspect = false;

  constructor(options: { home: IndexHome; note: StoreNote; onDamaged?: OnDamaged }) {
    this.#home = options.home;
    this.#note = options.note;
    this.#onDamaged = options.onDamaged ?? (() => "missed");
  }

  get damagedBodies(): number {
    return this.#damagedBodies;
  }

  /** The index is not to be believed in what it does not say; the next start makes it anew. */
  get isIndexSuspect(): boolean {
    return this.#isIndexSuspect;
  }

  /**
   * Quarantines an artifact; false when it is known already. `isIndexWrong`: a whole record of another artifact lies at
   * its place.
   */
  noteBody(view: CatalogView, manifest: Manifest, isIndexWrong: boolean): boolean {
    if (view.quarantine.holds(manifest.id, manifest.version)) return false;
    // It was written again elsewhere since its manifest was found: what lies here is nobody's.
    const row = peekRow(view, manifest.id);
    if (row !== null && (row.file !== manifest.file || row.offsetBytes !== manifest.offsetBytes))
      return false;
    const { files } = view;
    if (row === null && (!files.holds(manifest.file) || files.isDead(manifest.file))) return false;
    view.quarantine.add(manifest.id, manifest.version);
    view.cache.drop(manifest.id);
    this.#damagedBodies += 1;
    const { file, offsetBytes, sizeBytes } = manifest;
    const id = Buffer.from(manifest.id).toString("hex");
    const outcome = this.#onDamaged(manifest);
    this.#note("damaged artifact", { id, file, offsetBytes, sizeBytes, isIndexWrong, outcome });
    if (isIndexWrong) this.suspectIndex("a row names the place of another artifact");
    return true;
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

import { asFault } from "../base/fault.ts";
import type { Maintenance } from "./maintenance.ts";
import type { StoreNote } from "./open.ts";

/** Who does the maintenance now: one that died is replaced. */
export class MaintenanceSeat {
  readonly #start: () => Maintenance;
  readonly #note: StoreNote;
  #holder: Maintenance | null = null;

  constructor(options: { startMaintenance: () => Maintenance; note: StoreNote }) {
    this.#start = options.startMaintenance;
    this.#note = options.note;
  }

  /** Null before the store has started. */
  get now(): Maintenance | null {
    return this.#holder;
  }

  begin(): Maintenance {
    this.#holder = this.#start();
    return this.#holder;
  }

  /** A Worker that died holds nothing any more, and the next one does its work. */
  async releaseIndex(): Promise<void> {
    try {
      await this.#holder?.releaseIndex();
    } catch (error) {
      this.#note("maintenance replaced", { reason: asFault(error).message });
      this.begin();
    }
  }

  async close(): Promise<void> {
    await this.#holder?.close();
  }
}

import { Fault } from "../base/fault.ts";
import { type MemoryMarks, type MemoryTier, memoryTiers, nextTier } from "./memory-tier.ts";
import { WriteGate } from "./write-gate.ts";

/** What those see of it that hold memory which they can do without. */
export interface MemoryPressureView {
  readonly tier: MemoryTier;
  /** Calls at once and at every change; what it returns ends that. */
  follow(adapt: (tier: MemoryTier) => void): () => void;
}

export type MemoryPressureOptions = MemoryMarks & {
  /** Keeps the tier whatever is measured; `auto` does not. */
  readonly pin: MemoryTier | "auto";
};

/** The tier of the node's memory, and what follows from it. Whoever measures tells it; it measures nothing itself. */
export class MemoryPressure implements MemoryPressureView {
  readonly marks: MemoryMarks;
  readonly #isPinned: boolean;
  readonly #gate: WriteGate;
  readonly #entries = new Map<MemoryTier, number>(memoryTiers.map((tier) => [tier, 0]));
  readonly #followers = new Set<(tier: MemoryTier) => void>();
  #tier: MemoryTier = "normal";
  #usedBytes: number | null = null;
  #refusedWrites = 0;

  constructor({ pin, ...marks }: MemoryPressureOptions) {
    this.marks = marks;
    this.#isPinned = pin !== "auto";
    this.#gate = new WriteGate(marks.hardBytes);
    if (pin !== "auto") this.#enter(pin);
  }

  get tier(): MemoryTier {
    return this.#tier;
  }

  /** As it was measured last; null when nothing could be. */
  get usedBytes(): number | null {
    return this.#usedBytes;
  }

  /** True while writes are refused. */
  get refusesWrites(): boolean {
    return this.#tier === "critical" && (this.#isPinned || this.#gate.isShut);
  }

  get refusedWrites(): number {
    return this.#refusedWrites;
  }

  /** How often a tier was entered; the first one of a node counts only when it is pinned. */
  entries(tier: MemoryTier): number {
    return this.#entries.get(tier) ?? 0;
  }

  /** Takes what was measured; without a figure there is nothing to shed for. */
  note(usedBytes: number | null, nowMs: number): void {
    this.#usedBytes = usedBytes;
    if (this.#isPinned) return;
    const next = usedBytes === null ? "normal" : nextTier(this.#tier, usedBytes, this.marks);
    if (next !== "critical") this.#gate.open();
    else if (usedBytes !== null) this.#gate.look(usedBytes, nowMs);
    if (next !== this.#tier) this.#enter(next);
  }

  follow(adapt: (tier: MemoryTier) => void): () => void {
    this.#followers.add(adapt);
    adapt(this.#tier);
    return () => this.#followers.delete(adapt);
  }

  /**
   * Asked before a write takes anything. What is under way goes on: its end is what gives memory back.
   * @throws Fault "overloaded" while memory is critical.
   */
  admitWrite(): void {
    if (!this.refusesWrites) return;
    this.#refusedWrites += 1;
    throw new Fault(
      "overloaded",
      "Cannot take the upload: the node is short of memory and only answers reads; try again later",
    );
  }

  #enter(tier: MemoryTier): void {
    this.#tier = tier;
    this.#entries.set(tier, this.entries(tier) + 1);
    for (const adapt of this.#followers) adapt(tier);
  }
}

/** For a part that stands alone, such as an inspection of a stopped store. */
export function noPressure(): MemoryPressure {
  const marks = { softBytes: Number.POSITIVE_INFINITY, hardBytes: Number.POSITIVE_INFINITY };
  return new MemoryPressure({ ...marks, pin: "auto" });
}

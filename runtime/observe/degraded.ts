/**
 * Ways in which a node does less than it should and yet does its work. Only `read_only` and `store_wedged` take it out
 * of rotation, by a reason of their own; the others are for whoever looks after the node.
 */
export const degradedModes = [
  "disk_full",
  "read_only",
  "store_wedged",
  "index_suspect",
  "no_ballast",
  "memory_constrained",
  "scrub_damage",
] as const;
export type DegradedMode = (typeof degradedModes)[number];

/** `reason` is one sentence. */
export type Degradation = { readonly mode: DegradedMode; readonly reason: string };

/** Told once when a mode begins, and once, with a null reason, when it has ended. */
export type DegradedListener = (mode: DegradedMode, reason: string | null) => void;

/** The one place that knows in which modes the node is. */
export class DegradedModes {
  readonly #reasons = new Map<DegradedMode, string>();
  #listener: DegradedListener = () => {};

  /** Whoever listens hears at once of what has begun already. At most one. */
  listen(listener: DegradedListener): void {
    this.#listener = listener;
    for (const [mode, reason] of this.#reasons) listener(mode, reason);
  }

  /** Enters a mode, or leaves it with null. A reason that only changes its figures is no news. */
  set(mode: DegradedMode, reason: string | null): void {
    const isOn = this.#reasons.has(mode);
    if (reason === null) this.#reasons.delete(mode);
    else this.#reasons.set(mode, reason);
    if (isOn !== (reason !== null)) this.#listener(mode, reason);
  }

  holds(mode: DegradedMode): boolean {
    return this.#reasons.has(mode);
  }

  /** Those that hold now, in the order of `degradedModes`. */
  list(): Degradation[] {
    const found: Degradation[] = [];
    for (const mode of degradedModes) {
      const reason = this.#reasons.get(mode);
      if (reason !== undefined) found.push({ mode, reason });
    }
    return found;
  }
}

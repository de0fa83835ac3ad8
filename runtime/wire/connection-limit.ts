/** Ends one connection that serves nobody, to make room for another; false when there is none. */
export type ShedIdle = () => boolean;

/**
 * How many connections may be open at one time, over all listeners that share it. Each takes a descriptor, and a process
 * that has none left cannot open files either. At the limit an idle connection goes for each new one; without any the
 * new one is closed at once.
 */
export class ConnectionLimit {
  readonly limit: number;
  readonly #sheds = new Set<ShedIdle>();
  #count = 0;
  #refused = 0;
  #shed = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get count(): number {
    return this.#count;
  }

  /** Connections that were closed at once. */
  get refused(): number {
    return this.#refused;
  }

  /** Idle ones that went for others. */
  get shed(): number {
    return this.#shed;
  }

  /** Returns what takes the listener off again. */
  join(shedIdle: ShedIdle): () => void {
    this.#sheds.add(shedIdle);
    return () => {
      this.#sheds.delete(shedIdle);
    };
  }

  /** Whether one more may be open; it is counted until `leave`. */
  enter(): boolean {
    if (this.#count >= this.limit && !this.#shedOne()) {
      this.#refused += 1;
      return false;
    }
    this.#count += 1;
    return true;
  }

  leave(): void {
    this.#count -= 1;
  }

  #shedOne(): boolean {
    for (const shedIdle of this.#sheds) {
      if (!shedIdle()) continue;
      this.#shed += 1;
      return true;
    }
    return false;
  }
}

/** Looking at more of them would cost more than the connection that comes. */
const idleLooksMax = 256;

/** Of the first that are idle, ends the one that has been for longest: a busy client rests for moments only. */
export function shedIdle(connections: Iterable<Sheddable>): boolean {
  let longest: Sheddable | null = null;
  let looks = 0;
  for (const connection of connections) {
    if (!connection.isIdle) continue;
    if (longest === null || connection.idleSinceMs < longest.idleSinceMs) longest = connection;
    looks += 1;
    if (looks === idleLooksMax) break;
  }
  longest?.cut();
  return longest !== null;
}

type Sheddable = { readonly isIdle: boolean; readonly idleSinceMs: number; cut(): void };

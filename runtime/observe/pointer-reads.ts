/** Why a pointer was not found; closed, and in the metrics as they are. */
export const missReasons = [
  "never_written",
  "evicted",
  "incomplete",
  "cleaned",
  "corrupt",
] as const;
export type MissReason = (typeof missReasons)[number];

/** The scope of a read: one object stands for the same scope as long as somebody reads in it. */
export type ReadScope = {
  readonly tenant: string;
  readonly namespace: string;
  readonly hashKey: string;
};

/** Reads since the start of the process. */
export type ReadCounts = {
  readonly hits: number;
  readonly misses: Readonly<Record<MissReason, number>>;
};

export type ScopeReads = ReadCounts & {
  readonly scope: ReadScope;
  /** Place of the kind of artifact in the metrics. */
  readonly artifact: number;
};

/** Scopes with kinds that are told apart: 100 KB of counts. Clients choose scopes, so there has to be an end. */
const slotsMax = 1_024;

/** As often as this all slots are looked at when one has to give way. */
const lookEvery = 32;

const columns = 1 + missReasons.length;

/**
 * Hits and misses by scope and kind of artifact. They are for the admin routes: as labels of metrics, scopes would let
 * clients grow the exposition. When there is no room, the slot with the fewest reads of late gives way, and what it
 * counted goes to the others; so a flood of invented scopes replaces itself.
 */
export class PointerReads {
  readonly #slotsMax: number;
  /** By kind of artifact, then by hash of the scope. */
  readonly #slots: Map<string, number>[] = [];
  readonly #owners: { scope: ReadScope; artifact: number }[] = [];
  /** The last row is for the others. */
  readonly #counts: Float64Array;
  /** Reads of a slot that do not count any more when it is asked who gives way. */
  readonly #forgotten: Float64Array;
  #takenOver = 0;
  #fewest = 0;
  #last: { scope: ReadScope; artifact: number; slot: number } | null = null;

  constructor(countMax = slotsMax) {
    this.#slotsMax = countMax;
    this.#counts = new Float64Array((countMax + 1) * columns);
    this.#forgotten = new Float64Array(countMax);
  }

  hit(artifact: number, scope: ReadScope): void {
    const place = this.#slotOf(artifact, scope) * columns;
    this.#counts[place] = this.#counts[place]! + 1;
  }

  miss(artifact: number, scope: ReadScope, reason: MissReason): void {
    const place = this.#slotOf(artifact, scope) * columns + 1 + missReasons.indexOf(reason);
    this.#counts[place] = this.#counts[place]! + 1;
  }

  /** One entry for each scope and kind that is told apart. */
  entries(): ScopeReads[] {
    return this.#owners.map(({ scope, artifact }, slot) => {
      return { scope, artifact, ...this.#countsOf(slot) };
    });
  }

  /** All reads, those of forgotten scopes too. */
  total(): ReadCounts {
    const sums = new Array<number>(columns).fill(0);
    for (let i = 0; i < this.#counts.length; i++) sums[i % columns]! += this.#counts[i]!;
    return readCounts(sums);
  }

  /** Reads come in runs of one scope. */
  #slotOf(artifact: number, scope: ReadScope): number {
    const last = this.#last;
    if (last !== null && last.scope === scope && last.artifact === artifact) return last.slot;
    const slot = this.#slots[artifact]?.get(scope.hashKey) ?? this.#take(artifact, scope);
    this.#last = { scope, artifact, slot };
    return slot;
  }

  #take(artifact: number, scope: ReadScope): number {
    const isFull = this.#owners.length >= this.#slotsMax;
    const slot = isFull ? this.#giveWay() : this.#owners.length;
    this.#owners[slot] = { scope, artifact };
    this.#slots[artifact] ??= new Map();
    this.#slots[artifact].set(scope.hashKey, slot);
    return slot;
  }

  /** Empties the slot with the fewest reads of late. */
  #giveWay(): number {
    const fewest = this.#findFewest();
    for (let column = 0; column < columns; column++) {
      const place = fewest * columns + column;
      this.#counts[this.#slotsMax * columns + column]! += this.#counts[place]!;
      this.#counts[place] = 0;
    }
    this.#forgotten[fewest] = 0;
    const { scope, artifact } = this.#owners[fewest]!;
    this.#slots[artifact]?.delete(scope.hashKey);
    this.#takenOver += 1;
    if (this.#takenOver % this.#slotsMax === 0) this.#age();
    return fewest;
  }

  /** To look at all slots takes 14 us (measured): in a flood the one that was given last will do. */
  #findFewest(): number {
    const mustLook = this.#takenOver % lookEvery === 0;
    if (!mustLook && this.#weightOf(this.#fewest) <= 1) return this.#fewest;
    let weightMin = Number.POSITIVE_INFINITY;
    for (let slot = 0; slot < this.#slotsMax; slot++) {
      const weight = this.#weightOf(slot);
      if (weight < weightMin) [this.#fewest, weightMin] = [slot, weight];
    }
    return this.#fewest;
  }

  /** Old reads count half: or who read much last month would keep out who reads now. */
  #age(): void {
    for (let slot = 0; slot < this.#slotsMax; slot++) {
      this.#forgotten[slot]! += Math.ceil(this.#weightOf(slot) / 2);
    }
  }

  #weightOf(slot: number): number {
    let reads = -this.#forgotten[slot]!;
    for (let column = 0; column < columns; column++)
      reads += this.#counts[slot * columns + column]!;
    return reads;
  }

  #countsOf(slot: number): ReadCounts {
    return readCounts(this.#counts.subarray(slot * columns, (slot + 1) * columns));
  }
}

function readCounts(row: ArrayLike<number>): ReadCounts {
  const [, ...counts] = Array.from(row);
  const misses = Object.fromEntries(missReasons.map((reason, i) => [reason, counts[i] ?? 0]));
  return { hits: row[0] ?? 0, misses: misses as Record<MissReason, number> };
}

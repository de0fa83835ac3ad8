/** The only source of chance. `below` is uniform over whole numbers from 0 to `bound` - 1. */
export interface Random {
  bytes(count: number): Uint8Array;
  below(bound: number): number;
}

export const systemRandom: Random = {
  bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  below: (bound) => Math.floor(Math.random() * bound),
};

/**
 * Chance that repeats: the same seed gives the same sequence on every machine.
 * @source SplitMix32 by Guy Steele and others, 32-bit state; good enough to choose faults, not for secrets.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  return {
    bytes(count) {
      const bytes = new Uint8Array(count);
      for (let i = 0; i < count; i++) bytes[i] = next() & 0xff;
      return bytes;
    },
    below: (bound) => Math.floor((next() / 4_294_967_296) * bound),
  };
}

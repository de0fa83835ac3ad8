/** How much the specs do: `fast` on every change, `ci` before a merge, `long` overnight. */
export type Tier = "fast" | "ci" | "long";

const divisors: Readonly<Record<Tier, number>> = { fast: 100, ci: 10, long: 1 };

export function isTier(name: string): name is Tier {
  return Object.hasOwn(divisors, name);
}

/** The tier of this run; a spec started by hand runs as fast. */
export function tier(): Tier {
  const name = process.env.KURA_TEST_TIER ?? "fast";
  if (!isTier(name)) throw new Error(`KURA_TEST_TIER is ${name}: use fast, ci or long`);
  return name;
}

/** Repetitions for this tier: `longCount` in long, a tenth in ci, a hundredth in fast, never below 1. */
export function scaled(longCount: number, at: Tier = tier()): number {
  return Math.max(1, Math.ceil(longCount / divisors[at]));
}

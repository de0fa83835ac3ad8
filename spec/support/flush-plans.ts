import type { Random } from "../../runtime/base/random.ts";
import { KiB } from "../../runtime/base/units.ts";
import type { DiskFault } from "./flush-faults.ts";
import type { Injection } from "./strace.ts";

const errors = ["EIO", "ENOSPC", "EDQUOT"] as const;
const syncCalls = ["fsync", "fdatasync"] as const;
/** Each thread counts by itself, and one run of puts makes about so many such calls on its busiest thread. */
const syncsMax = 16;
const writesMax = 40;
const roomBytesMax = 400 * KiB;

/** Failed syncs: each error at each call, once and for ever. */
export function planSyncFaults(): DiskFault[] {
  return sweep((nth, isForEver) =>
    errors.map((error) => ({ calls: syncCalls, effect: { error }, nth, isForEver })),
  )(syncsMax);
}

/** Failed writes, of the journal, of large files and of SQLite, in the order in which they come. */
export function planWriteFaults(): DiskFault[] {
  return sweep((nth, isForEver) => [
    {
      calls: ["pwrite64", "write"],
      effect: { error: nth % 2 === 0 ? "EIO" : "ENOSPC" },
      nth,
      isForEver,
    },
  ])(writesMax);
}

/** Short writes: the space of a file ends at a place by chance inside what is written next. */
export function planShortWrites(random: Random, count: number): DiskFault[] {
  return Array.from({ length: count }, () => {
    const exponent = 1 + random.below(Math.log2(roomBytesMax) * 100) / 100;
    return { at: "fileSizeLimit", roomBytes: Math.floor(2 ** exponent) };
  });
}

function sweep(
  injections: (nth: number, isForEver: boolean) => Injection[],
): (nthMax: number) => DiskFault[] {
  return (nthMax) => {
    const faults: DiskFault[] = [];
    for (const isForEver of [false, true]) {
      for (let nth = 1; nth <= nthMax; nth++) {
        for (const injection of injections(nth, isForEver)) faults.push({ at: "call", injection });
      }
    }
    return faults;
  };
}

/** Every tenth from a start by chance: what the ci tier has time for. */
export function everyTenth<Item>(random: Random, items: readonly Item[]): Item[] {
  const first = random.below(10);
  return items.filter((_, i) => i % 10 === first);
}

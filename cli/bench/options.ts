import { Fault } from "../../runtime/base/fault.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import type { LoadEnd, Verify } from "./load.ts";
import type { KeyOrder, Mix } from "./mix.ts";
import { type Addressing, type SurfaceName, surfaces } from "./surfaces.ts";

/** Flags that say which server is loaded. */
export type TargetFlags = {
  readonly url?: string;
  readonly serverPid?: number;
  readonly dataDir?: string;
  readonly set?: readonly (readonly [name: string, value: string])[];
  readonly tenant?: string;
};

/** What the command line of `kura bench http` gives; names are commander's. */
export type BenchFlags = TargetFlags & {
  readonly sizes: readonly number[];
  readonly concurrency?: number;
  readonly mix?: readonly Mix[];
  readonly keys?: number;
  readonly order: KeyOrder;
  readonly duration: number;
  readonly requests?: number;
  readonly warmUp: number;
  readonly seed: number;
  readonly rounds: number;
  readonly surface: SurfaceName;
  readonly pathTemplate?: string;
  readonly writeMethod?: "PUT" | "POST";
  readonly tenant: string;
  readonly namespace: string;
  readonly header?: readonly string[];
  readonly verify: Verify;
  readonly json?: boolean;
};

/** One measurement: a size under a mix. */
export type CellPlan = {
  readonly sizeBytes: number;
  readonly mix: Mix;
  readonly connections: number;
  readonly keys: number;
};

/** Everything that the cells have in common. */
export type BenchPlan = {
  readonly cells: readonly CellPlan[];
  readonly rounds: number;
  readonly end: LoadEnd;
  readonly warmUpMs: number;
  readonly seed: number;
  readonly keyOrder: KeyOrder;
  readonly verify: Verify;
  readonly addressing: Addressing;
  readonly tenant: string;
  readonly namespace: string;
  readonly headers: readonly string[];
};

/** Reads and writes in cells of their own, so that CPU time per operation is that of one operation. */
const defaultMixes: readonly Mix[] = [{ get: 1 }, { put: 1 }];

/** Keys that are read: as many as fit here, so that a server may hold them in memory. */
const readBytesMax = 256 * MiB;
const keysMin = 4;
const keysMax = 1_000;

/** @throws Fault "usage" when flags of the server do not go together. */
export function requireTarget(flags: TargetFlags): void {
  if (flags.url === undefined && (flags.serverPid !== undefined || flags.dataDir !== undefined)) {
    throw new Fault(
      "usage",
      "--server-pid and --data-dir say which process --url leads to: give it",
    );
  }
  if (flags.url !== undefined && flags.set !== undefined) {
    throw new Fault("usage", "--set is for the node that this command starts: leave --url out");
  }
}

/** @throws Fault "usage" when flags do not go together. */
export function planBench(flags: BenchFlags): BenchPlan {
  requireTarget(flags);
  const mixes = flags.mix ?? defaultMixes;
  const cells = flags.sizes.flatMap((sizeBytes) =>
    mixes.map((mix) => ({
      sizeBytes,
      mix,
      connections: flags.concurrency ?? connectionsFor(sizeBytes),
      keys: flags.keys ?? keysFor(sizeBytes),
    })),
  );
  const { requests } = flags;
  return {
    cells,
    rounds: flags.rounds,
    end:
      requests === undefined
        ? { at: "duration", ms: flags.duration }
        : { at: "requests", count: requests },
    warmUpMs: flags.warmUp,
    seed: flags.seed,
    keyOrder: flags.order,
    verify: flags.verify,
    addressing: addressingOf(flags),
    tenant: flags.tenant,
    namespace: flags.namespace,
    headers: flags.header ?? [],
  };
}

/** The counts of the figures in docs/bench: beyond them large bodies measure the memory of the machine. */
function connectionsFor(sizeBytes: number): number {
  if (sizeBytes <= 64 * KiB) return 64;
  return sizeBytes <= MiB ? 32 : 8;
}

/** Keys of one size that are read. */
export function keysFor(sizeBytes: number): number {
  return Math.min(keysMax, Math.max(keysMin, Math.floor(readBytesMax / Math.max(1, sizeBytes))));
}

function addressingOf({ surface, pathTemplate, writeMethod }: BenchFlags): Addressing {
  const named = surfaces[surface];
  return {
    pathTemplate: pathTemplate ?? named.pathTemplate,
    writeMethod: writeMethod ?? (pathTemplate === undefined ? named.writeMethod : "PUT"),
  };
}

/** Ten times shorter than the load itself when that is counted in requests. */
export function warmUpEnd({ end, warmUpMs }: Pick<BenchPlan, "end" | "warmUpMs">): LoadEnd | null {
  if (warmUpMs === 0) return null;
  if (end.at === "duration") return { at: "duration", ms: warmUpMs };
  return { at: "requests", count: Math.ceil(end.count / 10) };
}

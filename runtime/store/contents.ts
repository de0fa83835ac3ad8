import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { second } from "../base/units.ts";
import type { Census } from "./census.ts";
import type { StoreFiles } from "./files.ts";
import type { Maintenance } from "./maintenance.ts";
import type { ScopeName, ScopePlace } from "./scope-names.ts";

/** Somebody who looks again and again does not keep the Worker counting. */
const keptMs = 10 * second;

export type ContentsOptions = {
  readonly clock: Clock;
  readonly files: StoreFiles;
  /** Null while there is none. */
  readonly maintenance: () => Maintenance | null;
};

/** What a store holds and whose it is, counted by the Worker when somebody asks. */
export class Contents {
  readonly #options: ContentsOptions;
  #counting: Promise<Census> | null = null;
  #last: { readonly census: Census; readonly atMs: number } | null = null;

  constructor(options: ContentsOptions) {
    this.#options = options;
  }

  /** A census of now or of the last 10 s; one at a time. @throws Fault "unavailable" when the Worker cannot count. */
  census(): Promise<Census> {
    const last = this.#last;
    if (last !== null && this.#options.clock.monotonicMs() - last.atMs <= keptMs) {
      return Promise.resolve(last.census);
    }
    this.#counting ??= this.#count().finally(() => {
      this.#counting = null;
    });
    return this.#counting;
  }

  /** Names of the first `count` holdings of a census; null where they cannot be found out any more. */
  nameHoldings({ holdings }: Census, count: number): Promise<(ScopeName | null)[]> {
    const { files } = this.#options;
    return this.#needMaintenance().nameScopes(placesOf(holdings, count, files));
  }

  async #count(): Promise<Census> {
    const census = await this.#needMaintenance().census();
    this.#last = { census, atMs: this.#options.clock.monotonicMs() };
    return census;
  }

  #needMaintenance(): Maintenance {
    const maintenance = this.#options.maintenance();
    if (maintenance !== null) return maintenance;
    throw new Fault("unavailable", "Cannot count what is stored: the store is not open yet");
  }
}

/** Where the names of the first `count` holdings are written. */
export function placesOf(
  holdings: Census["holdings"],
  count: number,
  files: Pick<StoreFiles, "pathOf">,
): ScopePlace[] {
  return Array.from({ length: Math.min(count, holdings.count) }, (_, i) => {
    const isLarge = holdings.areLarge[i] === 1;
    return {
      path: files.pathOf(holdings.files[i]!, isLarge),
      isLarge,
      offsetBytes: holdings.offsetsBytes[i]!,
      metadataBytes: holdings.metadataBytes[i]!,
      scopeHash: holdings.scopeHashes.slice(16 * i, 16 * i + 16),
    };
  });
}

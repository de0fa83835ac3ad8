import type { ByteBudget } from "../base/budget.ts";
import { budgetWaitMsMax } from "../base/limits.ts";
import type { Body, Manifest, Store } from "../store/store.ts";

/** A stretch of a file that the store answered with. */
export type Slice = Extract<Body, { at: "slice" }>;

export type WholeBodyDeps = {
  readonly store: Pick<Store, "open">;
  /** Reads a stretch of a file that `open` answered with; null when the file has gone since. */
  readonly readSlice: (slice: Slice) => Promise<Uint8Array | null>;
  /** What is read from files counts against it. */
  readonly budget: Pick<ByteBudget, "take" | "give" | "limitBytes">;
  /** Fires when nobody waits for the body any more. */
  readonly signal: AbortSignal;
};

/** A body is opened again after its check, and can be unchecked once more when it was replaced meanwhile. */
const opensMax = 4;

export type HeldBody = Disposable & { readonly bytes: Uint8Array };

/**
 * The whole body in memory of its own, until it is disposed of; null when it is gone or damaged.
 * @throws Fault "overloaded" when there is no memory for it, "clientClosed", or what the store throws.
 */
export async function readWholeBody(
  deps: WholeBodyDeps,
  manifest: Manifest,
): Promise<HeldBody | null> {
  const { store, budget, readSlice } = deps;
  const { sizeBytes } = manifest;
  for (let opens = 0; opens < opensMax; opens++) {
    const body = store.open(manifest, 0, sizeBytes);
    switch (body.at) {
      case "bytes":
        return unheld(body.bytes);
      case "damaged":
        return null;
      case "check":
        await body.done;
        break;
      case "slice": {
        await budget.take(sizeBytes, { withinMs: budgetWaitMsMax, signal: deps.signal });
        const give = (): void => budget.give(sizeBytes);
        try {
          // Opened again: while it waited, it may have been written again elsewhere.
          const placed = store.open(manifest, 0, sizeBytes);
          const bytes = placed.at === "slice" ? await readSlice(placed) : null;
          if (bytes !== null) return { bytes, [Symbol.dispose]: give };
          give();
          break;
        } catch (error) {
          give();
          throw error;
        }
      }
    }
  }
  return null;
}

function unheld(bytes: Uint8Array): HeldBody {
  return { bytes, [Symbol.dispose]: () => {} };
}

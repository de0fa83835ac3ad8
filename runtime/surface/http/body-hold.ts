import type { ByteBudget, WaitOptions } from "../../base/budget.ts";
import { asFault } from "../../base/fault.ts";
import { gatheredBytesMax, waitingBodyBytesMax } from "../../base/limits.ts";

/** Where bodies are counted: all of them in the one, those that are not short in the other as well. */
export type BodyBudgets = { readonly budget: ByteBudget; readonly gathering: ByteBudget };

/** Room of `gathering` beside an upload budget. */
export function gatheringBytes(uploadMemoryBytesMax: number): number {
  return Math.min(gatheredBytesMax, uploadMemoryBytesMax);
}

/** What one body holds of both. */
export class BodyHold {
  readonly #budgets: BodyBudgets;
  #budgetBytes = 0;
  #gatheredBytes = 0;

  constructor(budgets: BodyBudgets) {
    this.#budgets = budgets;
  }

  /** Counts what was taken from the upload budget alone. */
  tookFromBudget(bytes: number): void {
    this.#budgetBytes += bytes;
  }

  /**
   * Some more of a body; false when there is no room, and nothing is taken. One that is not short, be it known
   * beforehand or only now, counts whole among its kind.
   */
  tryGrow(bytes: number, lengthBytes: number | null): boolean {
    const { budget, gathering } = this.#budgets;
    const sizeBytes = this.#budgetBytes + bytes;
    const isShort = Math.max(sizeBytes, lengthBytes ?? 0) <= waitingBodyBytesMax;
    const toGather = isShort ? 0 : sizeBytes - this.#gatheredBytes;
    if (toGather > 0 && !gathering.tryTake(toGather)) return false;
    if (!budget.tryTake(bytes)) {
      if (toGather > 0) gathering.give(toGather);
      return false;
    }
    this.#budgetBytes += bytes;
    this.#gatheredBytes += toGather;
    return true;
  }

  /**
   * Waits for a whole body's room among those that are not short; false when it has waited long enough.
   * @throws Fault "clientClosed" when the signal fires.
   */
  async waitToGather(bytes: number, wait: WaitOptions): Promise<boolean> {
    try {
      await this.#budgets.gathering.take(bytes, wait);
    } catch (error) {
      if (asFault(error).code === "overloaded") return false;
      throw error;
    }
    this.#gatheredBytes += bytes;
    return true;
  }

  /** All that it holds. */
  giveBack(): void {
    const { budget, gathering } = this.#budgets;
    budget.give(this.#budgetBytes);
    gathering.give(this.#gatheredBytes);
    this.#budgetBytes = 0;
    this.#gatheredBytes = 0;
  }
}

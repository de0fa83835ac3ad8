import type { ByteBudget, WaitOptions } from "../../base/budget.ts";
import { asFault } from "../../base/fault.ts";
import { budgetWaitMsMax, gatheredWaitMsMax, waitingBodyBytesMax } from "../../base/limits.ts";

/** Where bodies are counted: all of them in the one, those that are not short in the other as well. */
export type BodyBudgets = { readonly budget: ByteBudget; readonly gathering: ByteBudget };

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
   * Waits for the memory of a whole body that lies on disk; false when it has waited long enough and is better kept as
   * a file than refused after all that. Nothing is held then.
   * @throws Fault "overloaded" for a short one, which must not cost a file, "clientClosed" when the signal fires.
   */
  async waitForMemory(bytes: number, signal: AbortSignal): Promise<boolean> {
    const { budget, gathering } = this.#budgets;
    const wait = { withinMs: budgetWaitMsMax, signal };
    if (bytes <= waitingBodyBytesMax) {
      await budget.take(bytes, wait);
      this.#budgetBytes += bytes;
      return true;
    }
    if (!(await isTaken(gathering, bytes, { withinMs: gatheredWaitMsMax, signal }))) return false;
    this.#gatheredBytes += bytes;
    if (await isTaken(budget, bytes, wait)) {
      this.#budgetBytes += bytes;
      return true;
    }
    this.giveBack();
    return false;
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

async function isTaken(budget: ByteBudget, bytes: number, wait: WaitOptions): Promise<boolean> {
  try {
    await budget.take(bytes, wait);
    return true;
  } catch (error) {
    if (asFault(error).code === "overloaded") return false;
    throw error;
  }
}

import type { ByteBudget, WaitOptions } from "../../base/budget.ts";

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

  /** From both; false when one of them has no room, and nothing is taken. */
  tryTake(bytes: number): boolean {
    const { budget, gathering } = this.#budgets;
    if (!gathering.tryTake(bytes)) return false;
    if (!budget.tryTake(bytes)) {
      gathering.give(bytes);
      return false;
    }
    this.#took(bytes);
    return true;
  }

  /**
   * From both, waiting for each of them if need be.
   * @throws Fault as `ByteBudget.take`; nothing is taken then.
   */
  async take(bytes: number, wait: WaitOptions): Promise<void> {
    const { budget, gathering } = this.#budgets;
    await gathering.take(bytes, wait);
    try {
      await budget.take(bytes, wait);
    } catch (error) {
      gathering.give(bytes);
      throw error;
    }
    this.#took(bytes);
  }

  #took(bytes: number): void {
    this.#budgetBytes += bytes;
    this.#gatheredBytes += bytes;
  }

  /** All that it holds. */
  giveBack(): void {
    this.#budgets.budget.give(this.#budgetBytes);
    this.#budgets.gathering.give(this.#gatheredBytes);
    this.#budgetBytes = 0;
    this.#gatheredBytes = 0;
  }
}

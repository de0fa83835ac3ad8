import { expect, test } from "bun:test";
import { ByteBudget } from "../../../../runtime/base/budget.ts";
import { Fault } from "../../../../runtime/base/fault.ts";
import { seededRandom, systemRandom } from "../../../../runtime/base/random.ts";
import { SteppedClock } from "../../../support/server.ts";

const patient = { withinMs: 1_000, signal: new AbortController().signal };
const codeOf = (promise: Promise<void>): Promise<string> =>
  promise.then(
    () => "granted",
    (error: unknown) => (error instanceof Fault ? error.code : String(error)),
  );

test("bytes are taken up to the limit and given back", () => {
  const budget = new ByteBudget(100, new SteppedClock());
  expect([budget.tryTake(60), budget.tryTake(41), budget.tryTake(40)]).toEqual([true, false, true]);
  budget.give(100);
  expect(budget.usedBytes).toBe(0);
  expect(() => budget.give(1)).toThrow();
});

test("what is no number of bytes is a defect, and changes nothing", () => {
  const budget = new ByteBudget(100, new SteppedClock());
  for (const bytes of [Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY]) {
    for (const use of [
      () => budget.tryTake(bytes),
      () => budget.take(bytes, patient),
      () => budget.give(bytes),
    ]) {
      expect(use).toThrow("Assertion failed");
    }
  }
  expect(budget.usedBytes).toBe(0);
});

test("whoever waits first is served first, and nobody overtakes him", async () => {
  const budget = new ByteBudget(100, new SteppedClock());
  budget.tryTake(100);
  const order: string[] = [];
  const large = budget.take(80, patient).then(() => order.push("large"));
  const small = budget.take(10, patient).then(() => order.push("small"));
  budget.give(50);
  expect(budget.tryTake(1)).toBe(false);
  expect(order).toEqual([]);
  budget.give(50);
  await Promise.all([large, small]);
  expect(order).toEqual(["large", "small"]);
  expect(budget.usedBytes).toBe(90);
});

test("a wait that is over, given up or hopeless takes nothing and lets the next one in", async () => {
  const clock = new SteppedClock();
  const budget = new ByteBudget(100, clock);
  budget.tryTake(90);
  const leaving = new AbortController();
  const late = codeOf(budget.take(50, { ...patient, withinMs: 10 }));
  const gone = codeOf(budget.take(50, { withinMs: 1_000, signal: leaving.signal }));
  const next = codeOf(budget.take(10, patient));
  expect(await codeOf(budget.take(101, patient))).toBe("overloaded");
  clock.step(11);
  leaving.abort();
  expect(await Promise.all([late, gone, next])).toEqual(["overloaded", "clientClosed", "granted"]);
  expect([budget.usedBytes, budget.waiting]).toEqual([100, 0]);
  expect(await codeOf(budget.take(1, { withinMs: 1, signal: leaving.signal }))).toBe(
    "clientClosed",
  );
});

test("the queue has an end", async () => {
  const budget = new ByteBudget(10, new SteppedClock(), 2);
  budget.tryTake(10);
  const waiting = [budget.take(1, patient), budget.take(1, patient)];
  expect(await codeOf(budget.take(1, patient))).toBe("overloaded");
  budget.give(10);
  await Promise.all(waiting);
});

test("random takers, givers and quitters never exceed the limit and always end at zero", async () => {
  const seed = systemRandom.below(1_000_000);
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  const clock = new SteppedClock();
  const budget = new ByteBudget(1_000, clock);
  const held: number[] = [];
  const waits: Promise<void>[] = [];
  for (let i = 0; i < 5_000; i++) {
    const quitter = new AbortController();
    const bytes = 1 + random.below(300);
    const wait = budget.take(bytes, { withinMs: 1 + random.below(50), signal: quitter.signal });
    waits.push(wait.then(() => void held.push(bytes)).catch(() => {}));
    if (random.below(4) === 0) quitter.abort();
    if (random.below(2) === 0) clock.step(random.below(20));
    await Promise.resolve();
    if (held.length > 0 && random.below(2) === 0) budget.give(held.shift() ?? 0);
    expect(budget.usedBytes).toBeLessThanOrEqual(1_000);
  }
  clock.step(1_000);
  await Promise.all(waits);
  for (const bytes of held) budget.give(bytes);
  expect([budget.usedBytes, budget.waiting]).toEqual([0, 0]);
});

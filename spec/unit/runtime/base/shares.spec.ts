import { expect, test } from "bun:test";
import { Fault } from "../../../../runtime/base/fault.ts";
import { type Random, seededRandom, systemRandom } from "../../../../runtime/base/random.ts";
import { type Share, SharePool } from "../../../../runtime/base/shares.ts";
import { SteppedClock } from "../../../support/server.ts";

const total = 1_000;
const describe = (amount: number): string => `${amount} of it`;
const patient = { withinMs: 1_000_000, signal: new AbortController().signal };

function poolOf(
  rules: readonly { readonly min: number; readonly max: number }[],
  clock = new SteppedClock(),
): { readonly pool: SharePool; readonly shares: readonly Share[]; readonly clock: SteppedClock } {
  const pool = new SharePool(total, clock);
  return { pool, clock, shares: rules.map((rule) => pool.open({ ...rule, describe })) };
}

test("each share has its minimum while another one holds all that it can", () => {
  const { pool, shares } = poolOf([
    { min: 200, max: total },
    { min: 100, max: total },
  ]);
  const [greedy, modest] = shares as [Share, Share];
  expect([greedy.tryTake(900), greedy.tryTake(1)]).toEqual([true, false]);
  expect([modest.tryTake(100), modest.tryTake(1)]).toEqual([true, false]);
  expect(pool.used).toBe(total);
  greedy.give(900);
  expect(modest.tryTake(700)).toBe(true);
  expect([greedy.tryTake(200), greedy.tryTake(1)]).toEqual([true, false]);
});

test("a share never holds more than its own limit, and a minimum is not lent out", () => {
  const { shares } = poolOf([
    { min: 0, max: 300 },
    { min: 800, max: 800 },
  ]);
  const [small, large] = shares as [Share, Share];
  expect([small.tryTake(201), small.tryTake(200), large.tryTake(800)]).toEqual([false, true, true]);
});

test("common room goes to whoever has waited longest, though others would take it as it comes", async () => {
  const { shares } = poolOf([
    { min: 100, max: total },
    { min: 100, max: total },
  ]);
  const [first, second] = shares as [Share, Share];
  expect(second.tryTake(900)).toBe(true);
  const order: string[] = [];
  const waits = [
    first.take(600, patient).then(() => order.push("large")),
    first.take(10, patient).then(() => order.push("behind it")),
  ];
  second.give(300);
  // There is room for this, but somebody has waited for it longer.
  expect(second.tryTake(100)).toBe(false);
  second.give(500);
  await Promise.all(waits);
  expect(order).toEqual(["large", "behind it"]);
  expect(second.tryTake(100)).toBe(true);
});

test("whoever waits for common room keeps nobody from his own minimum", async () => {
  const { shares } = poolOf([
    { min: 100, max: total },
    { min: 100, max: total },
  ]);
  const [first, second] = shares as [Share, Share];
  expect(first.tryTake(900)).toBe(true);
  const waiting = second.take(500, patient);
  expect(second.waiting).toBe(1);
  first.give(850);
  await waiting;
  expect([first.tryTake(50), first.used]).toEqual([true, 100]);
});

test("a wait that could never end is refused at once", async () => {
  const { shares } = poolOf([
    { min: 100, max: total },
    { min: 600, max: total },
  ]);
  const [first] = shares as [Share];
  const refused = first.take(401, patient).catch((error: unknown) => error);
  expect(((await refused) as Fault).code).toBe("overloaded");
  expect(first.waiting).toBe(0);
});

/** One wish as the model knows it. */
type Wish = {
  readonly share: number;
  readonly amount: number;
  readonly deadlineMs: number;
  readonly quitter: AbortController;
  state: "waiting" | "held" | "over";
};

/** What the pool should do, written as plainly as can be: every rule is a look at all wishes. */
class Model {
  readonly wishes: Wish[] = [];
  readonly used: number[];
  readonly #rules: readonly { readonly min: number; readonly max: number }[];
  readonly #common: number;

  constructor(rules: readonly { readonly min: number; readonly max: number }[]) {
    this.#rules = rules;
    this.used = rules.map(() => 0);
    this.#common = total - rules.reduce((sum, { min }) => sum + min, 0);
  }

  get commonUsed(): number {
    return this.used.reduce((sum, used, i) => sum + Math.max(0, used - this.#rules[i]!.min), 0);
  }

  mayHold({ share, amount }: Wish): boolean {
    return this.used[share]! + amount <= this.#rules[share]!.max;
  }

  growth({ share, amount }: Wish): number {
    const [used, { min }] = [this.used[share]!, this.#rules[share]!];
    return Math.max(0, used + amount - min) - Math.max(0, used - min);
  }

  /** Grants what the rules say, in the order of arrival. */
  settle(): void {
    for (;;) {
      const heads = this.#rules.flatMap((_, share) => {
        const head = this.wishes.find((each) => each.share === share && each.state === "waiting");
        return head === undefined || !this.mayHold(head) ? [] : [head];
      });
      const own = heads.find((head) => this.growth(head) === 0);
      const oldest = this.wishes.find((wish) => heads.includes(wish));
      const next = own ?? oldest;
      if (next === undefined || this.commonUsed + this.growth(next) > this.#common) return;
      next.state = "held";
      this.used[next.share]! += next.amount;
    }
  }

  /** One after the other: the end of a wait may let in one that would have ended a moment later. */
  expire(nowMs: number): void {
    const due = this.wishes.filter(({ deadlineMs }) => deadlineMs <= nowMs);
    for (const wish of due.sort((a, b) => a.deadlineMs - b.deadlineMs)) {
      if (wish.state !== "waiting") continue;
      wish.state = "over";
      this.settle();
    }
  }
}

const rules = [
  { min: 125, max: 700 },
  { min: 125, max: total },
  { min: 30, max: 250 },
  { min: 0, max: total },
] as const;

async function runSeed(random: Random): Promise<void> {
  const { pool, shares, clock } = poolOf(rules);
  const model = new Model(rules);
  const real = new Map<Wish, string>();
  const settled: Promise<void>[] = [];
  const begin = (): void => {
    const share = random.below(rules.length);
    const amount = 1 + random.below(random.below(4) === 0 ? 240 : 40);
    const withinMs = 1 + random.below(60);
    const quitter = new AbortController();
    const deadlineMs = clock.monotonicMs() + withinMs;
    const wish: Wish = { share, amount, deadlineMs, quitter, state: "waiting" };
    model.wishes.push(wish);
    model.settle();
    real.set(wish, "waiting");
    const wait = shares[share]!.take(amount, { withinMs, signal: quitter.signal });
    settled.push(
      wait.then(
        () => void real.set(wish, "held"),
        (error: unknown) => {
          expect(error).toBeInstanceOf(Fault);
          real.set(wish, "over");
        },
      ),
    );
  };
  const some = (state: Wish["state"]): Wish | undefined => {
    const list = model.wishes.filter((wish) => wish.state === state);
    return list.length === 0 ? undefined : list[random.below(list.length)];
  };
  const giveBack = (wish: Wish): void => {
    wish.state = "over";
    real.set(wish, "over");
    model.used[wish.share]! -= wish.amount;
    model.settle();
    shares[wish.share]!.give(wish.amount);
  };
  for (let i = 0; i < 400; i++) {
    const dice = random.below(10);
    if (dice < 5) begin();
    else if (dice < 8) {
      const held = some("held");
      if (held !== undefined) giveBack(held);
    } else if (dice === 8) {
      const waiting = some("waiting");
      if (waiting !== undefined) {
        waiting.state = "over";
        model.settle();
        waiting.quitter.abort();
      }
    } else {
      clock.step(1);
      model.expire(clock.monotonicMs());
    }
    for (let turns = 0; turns < 3; turns++) await Promise.resolve();
    for (const [wish, state] of real) expect(state).toBe(wish.state);
    for (const [share, used] of model.used.entries()) expect(shares[share]!.used).toBe(used);
    expect(pool.used).toBeLessThanOrEqual(total);
  }
  clock.step(1_000);
  model.expire(clock.monotonicMs());
  await Promise.all(settled);
  for (const wish of model.wishes) if (wish.state === "held") giveBack(wish);
  expect([pool.used, pool.hasWaiters, ...shares.map(({ waiting }) => waiting)]).toEqual([
    0,
    false,
    ...rules.map(() => 0),
  ]);
}

test("random takers, givers and quitters of four shares do what the plainest model says", async () => {
  const seed = systemRandom.below(1_000_000);
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  for (let run = 0; run < 20; run++) await runSeed(random);
});

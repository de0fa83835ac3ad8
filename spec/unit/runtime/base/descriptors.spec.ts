import { expect, test } from "bun:test";
import { Descriptors } from "../../../../runtime/base/descriptors.ts";
import type { Fault } from "../../../../runtime/base/fault.ts";
import { SteppedClock } from "../../../support/server.ts";

const waitMsMax = 5_000;

function makeDescriptors(count = 8): { descriptors: Descriptors; clock: SteppedClock } {
  const clock = new SteppedClock();
  return { clock, descriptors: new Descriptors({ count, waitMsMax, clock }) };
}

test("files that are open for nobody are closed before somebody waits", () => {
  const { descriptors } = makeDescriptors();
  const { sending, staging } = descriptors;
  let spares = 0;
  descriptors.onShort(() => {
    if (spares === 0) return false;
    spares -= 1;
    sending.give();
    return true;
  });
  // Six are all that one kind may hold.
  for (let i = 0; i < 7; i++) expect(sending.tryTake()).toBe(i < 6);
  spares = 6;
  for (let i = 0; i < 6; i++) expect(staging.tryTake()).toBe(true);
  // Two were free, and the other four were closed for it.
  expect([spares, descriptors.used, descriptors.waits]).toEqual([2, 8, 0]);
});

test("readers cannot take the last files of writers, nor writers those of readers", () => {
  for (const [greedy, other] of [
    ["sending", "staging"],
    ["staging", "sending"],
  ] as const) {
    const { descriptors } = makeDescriptors();
    while (descriptors[greedy].tryTake());
    expect([descriptors[other].tryTake(), descriptors[other].tryTake()]).toEqual([true, true]);
    expect(descriptors[other].tryTake()).toBe(false);
  }
});

test("a wait ends with a file, or is refused and counted", async () => {
  const { descriptors, clock } = makeDescriptors();
  const { sending } = descriptors;
  while (sending.tryTake());
  const lucky = sending.take();
  expect(descriptors.isShort).toBe(true);
  const late = sending.take().catch((error: unknown) => error);
  sending.give();
  await lucky;
  clock.step(waitMsMax);
  expect(((await late) as Fault).code).toBe("overloaded");
  expect([descriptors.waits, descriptors.timeouts, descriptors.isShort]).toEqual([2, 1, false]);
  const gone = new AbortController();
  const quit = sending.take(gone.signal).catch((error: unknown) => error);
  gone.abort();
  expect(((await quit) as Fault).code).toBe("clientClosed");
  expect(descriptors.timeouts).toBe(1);
});

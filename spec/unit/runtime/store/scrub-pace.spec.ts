import { expect, test } from "bun:test";
import { MiB, second } from "../../../../runtime/base/units.ts";
import { ScrubPace } from "../../../../runtime/store/scrub-pace.ts";

test("timers that are late by up to a second change nothing about the rate", () => {
  const pace = new ScrubPace(8 * MiB);
  let nowMs = 5_000;
  for (let i = 0; i < 400; i++) {
    nowMs += pace.waitAfter(2 * MiB, nowMs) + (i % 10 === 0 ? second : 0);
  }
  // A first slice is not waited for.
  const passedMs = nowMs - 5_000;
  expect(passedMs).toBeGreaterThan(99 * second);
  expect(passedMs).toBeLessThan(102 * second);
});

test("a standstill is not caught up beyond two seconds", () => {
  const pace = new ScrubPace(1 * MiB);
  pace.waitAfter(MiB, 0);
  expect(pace.waitAfter(MiB, 60_000)).toBe(0);
  expect(pace.waitAfter(MiB, 60_000)).toBe(0);
  expect(pace.waitAfter(MiB, 60_000)).toBe(1_000);
});

test("full speed never waits", () => {
  const pace = new ScrubPace(Number.POSITIVE_INFINITY);
  for (let i = 0; i < 10; i++) expect(pace.waitAfter(2 * MiB, 1_000)).toBe(0);
});

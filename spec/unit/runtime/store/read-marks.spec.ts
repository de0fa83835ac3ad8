import { expect, test } from "bun:test";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { GiB, MiB } from "../../../../runtime/base/units.ts";
import { ReadMarks } from "../../../../runtime/store/read-marks.ts";

const id = (i: number): Uint8Array => sha256(`artifact ${i}`);

test("what was read is told from what was not, with a doubt of a few in a hundred", () => {
  const marks = new ReadMarks(GiB);
  for (let i = 0; i < 100_000; i++) marks.mark(id(i));
  for (let i = 0; i < 100_000; i += 97) expect(marks.levelOf(id(i))).toBeGreaterThan(0);
  let doubts = 0;
  for (let i = 0; i < 10_000; i++) if (marks.levelOf(id(-1 - i)) > 0) doubts += 1;
  expect(doubts).toBeLessThan(1_000);
});

test("a mark outlives one turn and not two, and two generations count twice", () => {
  const marks = new ReadMarks(MiB);
  marks.mark(id(1));
  marks.turn();
  expect(marks.levelOf(id(1))).toBe(1);
  marks.mark(id(1));
  expect(marks.levelOf(id(1))).toBe(2);
  marks.turn();
  marks.turn();
  expect(marks.levelOf(id(1))).toBe(0);
});

test("marks that were saved are added to those that are there; of another capacity they are not", () => {
  const marks = new ReadMarks(MiB);
  marks.mark(id(1));
  const next = new ReadMarks(MiB);
  next.mark(id(2));
  expect(next.load(marks.save())).toBe(true);
  expect([next.levelOf(id(1)), next.levelOf(id(2))]).toEqual([1, 1]);
  expect(new ReadMarks(GiB).load(marks.save())).toBe(false);
});

import { expect, test } from "bun:test";
import { type Gatherer, Gathering } from "../../../../../runtime/wire/grpc/gathering.ts";

function gatherer(name: string, isGathering: boolean, dropped: string[]): Gatherer {
  return { gatheredBytes: 0, isGathering, dropped: () => dropped.push(name) };
}

test("when there is too much, whoever has had nothing for its message for longest goes", () => {
  const dropped: string[] = [];
  const gathering = new Gathering(100);
  const first = gatherer("first", true, dropped);
  const second = gatherer("second", true, dropped);
  const third = gatherer("third", true, dropped);
  gathering.set(first, 40);
  gathering.set(second, 40);
  gathering.set(first, 45);
  gathering.set(third, 40);
  expect([dropped, gathering.bytes]).toEqual([["second"], 85]);
});

test("whole messages wait for us and are never given up, however many they are", () => {
  const dropped: string[] = [];
  const gathering = new Gathering(100);
  for (let i = 0; i < 5; i += 1) gathering.set(gatherer(`whole ${i}`, false, dropped), 30);
  expect([dropped, gathering.bytes]).toEqual([[], 150]);
  gathering.set(gatherer("begun", true, dropped), 10);
  expect([dropped, gathering.bytes]).toEqual([["begun"], 150]);
});

import { expect, test } from "bun:test";
import { Fault } from "../../../../runtime/base/fault.ts";
import { OpenEnded } from "../../../../runtime/store/open-ended.ts";
import type { Take } from "../../../../runtime/store/space.ts";
import { SimClock, turn } from "../../../support/sim-clock.ts";

function start() {
  const clock = new SimClock();
  const taken: string[] = [];
  const all = new OpenEnded({
    clock,
    bytesMax: 100,
    waitMsMax: 1_000,
    take: (bytes, isFirst): Take => {
      taken.push(isFirst ? `${bytes} first` : `${bytes}`);
      const room = Promise.resolve({ shrink: () => {}, giveBack: () => {} });
      return { room, isAwaited: false, cancel: () => {} };
    },
    noRoom: (bytes) => new Fault("full", `no room for ${bytes}`),
  });
  return { clock, all, taken };
}

test("bodies take their steps side by side up to a bound; then the first that waited goes on to its end", async () => {
  const { all, taken } = start();
  const [a, b, c] = [all.begin(), all.begin(), all.begin()];
  await a.take(50).room;
  await b.take(40).room;
  const ofB = b.take(40);
  const ofC = c.take(40);
  await ofB.room;
  await b.take(40).room;
  expect(taken).toEqual(["50", "40", "40 first", "40 first"]);
  expect(ofC.isAwaited).toBe(true);
  b.end();
  b.end();
  await ofC.room;
  expect(taken).toEqual(["50", "40", "40 first", "40 first", "40"]);
});

test("who gives up, or has waited long enough, leaves his turn to the next", async () => {
  const { clock, all, taken } = start();
  const bodies = Array.from({ length: 4 }, () => all.begin());
  const [a, b, c, d] = bodies;
  await a?.take(100).room;
  const first = b?.take(10);
  await first?.room;
  const given = c?.take(10);
  const late = d?.take(10);
  given?.cancel();
  const end = late?.room.catch((error: Fault) => error.code);
  while (clock.step());
  await turn();
  expect(await end).toBe("full");
  a?.end();
  b?.end();
  await c?.take(70).room;
  expect(taken).toEqual(["100", "10 first", "70"]);
});

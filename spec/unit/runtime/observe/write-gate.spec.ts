import { expect, test } from "bun:test";
import { MiB, second } from "../../../../runtime/base/units.ts";
import { WriteGate } from "../../../../runtime/observe/write-gate.ts";

const hardMiB = 1_024;
const lookMs = 200;

/** A gate that is looked at five times a second; memory in MiB. */
function startGate() {
  const gate = new WriteGate(hardMiB * MiB);
  let nowMs = 0;
  const hold = (mebibytes: number, forMs: number): boolean => {
    for (const endMs = nowMs + forMs; nowMs < endMs; nowMs += lookMs) {
      gate.look(mebibytes * MiB, nowMs);
    }
    return gate.isShut;
  };
  return { gate, hold };
}

test("writes are refused at once and for as long as that brings memory down", () => {
  const { hold } = startGate();
  for (let mebibytes = 1_200; mebibytes > 920; mebibytes -= 4) {
    expect(hold(mebibytes, 25 * second)).toBe(true);
  }
});

test("after half a minute without effect they are let in, and refused again when memory grows by a sixteenth", () => {
  const { hold } = startGate();
  expect(hold(1_030, 29 * second)).toBe(true);
  expect(hold(1_030, 2 * second)).toBe(false);
  expect(hold(1_094, 60 * second)).toBe(false);
  expect(hold(1_095, lookMs)).toBe(true);
  expect(hold(1_095, 29 * second)).toBe(true);
  expect(hold(1_095, 2 * second)).toBe(false);
});

test("memory that goes up and down around the same place does not keep them out", () => {
  const { hold } = startGate();
  let isShut = true;
  for (let look = 0; look < 200; look++) isShut = hold(look % 2 === 0 ? 1_030 : 1_027, lookMs);
  expect(isShut).toBe(false);
});

test("when memory is not critical any more the next time begins anew", () => {
  const { gate, hold } = startGate();
  expect(hold(1_030, 40 * second)).toBe(false);
  gate.open();
  expect(gate.isShut).toBe(false);
  expect(hold(1_030, 29 * second)).toBe(true);
  gate.open();
  expect(gate.isShut).toBe(false);
});

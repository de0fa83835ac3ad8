import { expect, test } from "bun:test";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { day, KiB, MiB } from "../../../../runtime/base/units.ts";
import { KeepPolicy } from "../../../../runtime/store/keep-policy.ts";
import { Leases } from "../../../../runtime/store/leases.ts";
import { ReadMarks } from "../../../../runtime/store/read-marks.ts";
import { kinds, manifestFlags } from "../../../../runtime/store/store.ts";
import { versionOfWall } from "../../../../runtime/store/version.ts";
import { SimClock } from "../../../support/sim-clock.ts";

const capacityBytes = MiB;

function start() {
  const clock = new SimClock();
  const leases = new Leases({ clock, bytesMax: MiB, capacityBytes });
  const marks = new ReadMarks(capacityBytes);
  const policy = new KeepPolicy({ clock, leases, marks, capacityBytes });
  const row = (i: number, ageMs = 0, kind: keyof typeof kinds = "blob", flags = 0) => ({
    id: sha256(`artifact ${i}`),
    sizeBytes: KiB,
    version: versionOfWall(clock.wallMs() - ageMs),
    kind: kinds[kind],
    flags,
  });
  return { leases, marks, policy, row };
}

test("what nobody was told of or has read goes, whatever its age", () => {
  const { policy, row } = start();
  for (const ageMs of [0, day, 365 * day]) expect(policy.judge(row(1, ageMs), KiB)).toBe("gone");
});

test("what was read is kept until the credit is used up, and for each byte that goes again", () => {
  const { marks, policy, row } = start();
  marks.mark(row(1).id);
  let keptBytes = 0;
  while (policy.judge(row(1), KiB) === "read") {
    policy.noteKept("read", KiB);
    keptBytes += KiB;
  }
  expect(keptBytes).toBeGreaterThan(capacityBytes / 4);
  expect(keptBytes).toBeLessThanOrEqual(capacityBytes / 2);
  policy.noteFreed(capacityBytes / 2);
  expect(policy.judge(row(1), KiB)).toBe("read");
});

test("with little credit left only what was read again and again is kept", () => {
  const { marks, policy, row } = start();
  marks.mark(row(1).id);
  marks.turn();
  marks.mark(row(1).id);
  marks.mark(row(2).id);
  policy.noteKept("read", 0.45 * capacityBytes);
  expect(policy.judge(row(1), KiB)).toBe("read");
  expect(policy.judge(row(2), KiB)).toBe("gone");
});

test("a pointer that was not used for 30 days goes even where the newest is kept", () => {
  const { marks, policy, row } = start();
  policy.startBand({ start: 0, end: Number.MAX_SAFE_INTEGER });
  for (const kind of ["actionResult", "keyValue", "gradle", "nx", "metro", "module"] as const) {
    expect(policy.judge(row(1, 31 * day, kind), KiB)).toBe("gone");
    expect(policy.judge(row(1, 29 * day, kind), KiB)).toBe("band");
  }
  expect(policy.judge(row(1, 31 * day, "blob"), KiB)).toBe("band");
  marks.mark(row(1).id);
  expect(policy.judge(row(1, 31 * day, "nx"), KiB)).toBe("read");
});

test("when more is under lease than may be kept, what a client heard of last is", () => {
  const { leases, policy, row } = start();
  const count = Math.floor((0.8 * capacityBytes) / KiB);
  for (let i = 0; i < count; i++) leases.vouch(row(i));
  expect(policy.judge(row(0), KiB)).toBe("gone");
  expect(policy.judge(row(count - 1), KiB)).toBe("leased");
});

test("when nothing can be written again, everything goes", () => {
  const { leases, marks, policy, row } = start();
  marks.mark(row(1).id);
  leases.vouch(row(2));
  policy.isForced = true;
  for (const i of [1, 2]) expect(policy.judge(row(i), KiB)).toBe("gone");
});

test("deletes are kept up to a sixteenth of the capacity", () => {
  const { policy, row } = start();
  const deleted = row(1, 0, "nx", manifestFlags.deleted);
  policy.noteKept("deleted", capacityBytes / 16);
  expect(policy.judge(deleted, KiB)).toBe("gone");
  policy.noteFreed(capacityBytes);
  expect(policy.judge(deleted, KiB)).toBe("deleted");
});

test("a delete is kept for 30 days, so that peers hear of it", () => {
  const { policy, row } = start();
  expect(policy.judge(row(1, 29 * day, "nx", manifestFlags.deleted), KiB)).toBe("deleted");
  expect(policy.judge(row(1, 31 * day, "nx", manifestFlags.deleted), KiB)).toBe("gone");
});

test("the newest data that a start found is kept, up to a third of the capacity", () => {
  const { policy, row } = start();
  policy.startBand({ start: row(0, day).version, end: row(0, 60_000).version });
  expect(policy.judge(row(1, 2 * day), KiB)).toBe("gone");
  expect(policy.judge(row(1, day / 2), KiB)).toBe("band");
  expect(policy.judge(row(1, 0), KiB)).toBe("gone");
  policy.noteKept("band", capacityBytes / 3);
  expect(policy.judge(row(1, day / 2), KiB)).toBe("gone");
});

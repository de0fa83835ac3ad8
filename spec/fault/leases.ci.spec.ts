import { expect, test } from "bun:test";
import { MiB, minute } from "../../runtime/base/units.ts";
import { drawSeed } from "../support/fault-run.ts";
import { describeLeases, runLeases } from "../support/lease-run.ts";

const capacityBytes = 128 * MiB;
const writtenShare = 1.5;

test(
  "what a node has vouched for stays while one and a half times its capacity is written: 30 % leased",
  async () => {
    const seed = drawSeed();
    const report = await runLeases({ capacityBytes, seed, leasedShare: 0.3, writtenShare });
    console.log(`${describeLeases(report)}; seed ${seed}`);
    expect(report.evicted).toBeGreaterThan(0);
    expect(report.shortened).toBe(0);
    expect(report.unreadable).toBe(0);
  },
  2 * minute,
);

test(
  "leases over more than half of the capacity are shortened, and each that was is counted: 80 % leased",
  async () => {
    const seed = drawSeed();
    const report = await runLeases({ capacityBytes, seed, leasedShare: 0.8, writtenShare });
    console.log(`${describeLeases(report)}; seed ${seed}`);
    expect(report.shortened).toBeGreaterThan(0);
    expect(report.unreadable).toBe(report.shortened);
  },
  2 * minute,
);

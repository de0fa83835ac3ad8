// heavy: its figures mean nothing while other specs run.
import { expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { measurePut } from "../../scripts/bench/put.ts";
import {
  measureListening,
  measureReady,
  measureVersion,
  requireBinary,
} from "../../scripts/bench/starts.ts";
import { measureSyncs } from "../../scripts/bench/syncs.ts";

// Ten times the goals: this guards against a fall, on any machine. The figures themselves are in docs/bench.
setDefaultTimeout(90 * second);

const binary = requireBinary(process.env.KURA_SPEC_BINARY ?? "dist/kura");

test("a node listens within 1,500 ms of its start", async () => {
  const listeningMs = await measureListening(binary, 3);
  console.log("listening ms", listeningMs);
  expect(listeningMs.median).toBeLessThanOrEqual(1_500);
});

test("the version is printed within 500 ms", async () => {
  const versionMs = await measureVersion(binary, 3);
  console.log("version ms", versionMs);
  expect(versionMs.median).toBeLessThanOrEqual(500);
});

test("a node with 10,000 artifacts is ready within 5 s of a start after kill -9, and has them", async () => {
  const ready = await measureReady({ binary, artifacts: 10_000, bodyBytes: 1024, rounds: 1 });
  console.log("ready", ready);
  expect(ready.missing).toBe(0);
  expect(ready.readyMs.median).toBeLessThanOrEqual(5_000);
});

test("a durable PUT of 1 KiB costs at most 20 times the CPU of nginx WebDAV, in groups of 2 and more", async () => {
  const put = await measurePut({ binary, bodyBytes: 1024, requests: 5_000, rounds: 1 });
  console.log("put", put);
  expect(put.ratio).toBeLessThanOrEqual(20);
  expect(put.meanGroup).toBeGreaterThanOrEqual(2);
});

test("strace sees one fdatasync on the segments for each group of writes", async () => {
  const syncs = await measureSyncs({ binary, writes: 3_000 });
  console.log("syncs", syncs);
  expect(syncs.groups).toBeGreaterThan(0);
  expect(syncs.meanGroup).toBeGreaterThanOrEqual(2);
  expect(syncs.segmentSyncs).toBe(syncs.groups);
});

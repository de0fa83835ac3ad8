import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { installMsMax } from "../support/client-packages.ts";
import {
  type Client,
  coldThenWarm,
  expectAllServed,
  expectNothingServed,
  freshWord,
} from "./flow.ts";
import { callsOf, failedCallsOf, grpcEngines, removeAllOf, startGrpcNode } from "./grpc-node.ts";
import { type MoonClient, type MoonCompression, makeMoonClient, moonCompressions } from "./moon.ts";
import { startWireTap, type WireTap } from "./wire-tap.ts";

setDefaultTimeout(80 * second + installMsMax);

/** What moon sends in a batch, and what is over the limit of one. */
const sizes = [
  {
    name: "outputs of 300 KB",
    bigOutputBytes: 300_000,
    up: "BatchUpdateBlobs",
    down: "BatchReadBlobs",
  },
  { name: "outputs of 9 MB", bigOutputBytes: 9_000_000, up: "Write", down: "Read" },
] as const;

const combinations = grpcEngines.flatMap((engine) =>
  moonCompressions.map((compression) => ({ engine, compression })),
);

/** @source RFC 8878, section 3.1.1. */
const zstdMagic = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);
const zstdName = "compressed-blobs/zstd/";

describe.each(sizes)("moon over gRPC with $name", ({ name, bigOutputBytes, up, down }) => {
  let moon: MoonClient;

  beforeAll(async () => {
    moon = await makeMoonClient(freshWord(`moon with ${name}`), bigOutputBytes);
  });

  afterAll(async () => {
    await moon[Symbol.asyncDispose]();
  });

  test.each(combinations)(
    "takes every task from a node that was killed after the first build, by $engine, compression $compression",
    async ({ engine, compression }) => {
      await using node = await startGrpcNode(engine);
      await using tap = await startWireTap({ port: node.grpcPort, seek: [zstdMagic, zstdName] });
      moon.wipe();

      const builds = await coldThenWarm(withCompression(moon, compression), tap.url, async () => {
        expect(await callsOf(node)).toMatchObject({
          FindMissingBlobs: moon.tasks,
          [up]: moon.tasks,
          UpdateActionResult: moon.tasks,
        });
        await node.kill();
        await node.restart();
      });

      expect(await failedCallsOf(node)).toEqual({});
      expectAllServed(moon.tasks, builds);
      expect(moon.wrongOutputs()).toEqual([]);
      expect(builds.warm.words).toContain("2 completed (2 cached)");
      expect(await callsOf(node)).toMatchObject({
        GetActionResult: moon.tasks,
        [down]: moon.tasks,
      });
      expectOnWire(tap, compression, {
        plainBytes: moon.tasks * bigOutputBytes,
        isStream: up === "Write",
      });
    },
  );

  test.each(grpcEngines)(
    "cannot prove a hit against a node that has lost its data directory, by %s",
    async (engine) => {
      await using node = await startGrpcNode(engine);
      moon.wipe();

      const builds = await coldThenWarm(withCompression(moon, "zstd"), node.grpcUrl, async () => {
        await node.stop();
        removeAllOf(node.dataDir);
        await node.restart();
      });

      expectNothingServed(moon.tasks, builds);
    },
  );
});

function withCompression(moon: MoonClient, compression: MoonCompression): Client {
  return { ...moon, build: (serverUrl) => moon.build(serverUrl, compression) };
}

/** The node counts calls and plain bytes only, so what it was sent and what it sent is seen between it and moon. */
function expectOnWire(
  tap: WireTap,
  compression: MoonCompression,
  { plainBytes, isStream }: { plainBytes: number; isStream: boolean },
): void {
  for (const traffic of [tap.toNode, tap.fromNode]) {
    if (compression === "zstd") {
      expect(traffic.count(zstdMagic)).toBeGreaterThan(0);
      expect(traffic.bytes).toBeLessThan(plainBytes / 2 + overheadBytesMax);
    } else {
      expect(traffic.count(zstdMagic)).toBe(0);
      expect(traffic.bytes).toBeGreaterThan(plainBytes);
    }
  }
  // Writes and reads alike are named by the client.
  const names = tap.toNode.count(zstdName);
  if (compression === "zstd" && isStream) expect(names).toBeGreaterThan(1);
  else expect(names).toBe(0);
}

/** Everything but the outputs. */
const overheadBytesMax = 20_000;

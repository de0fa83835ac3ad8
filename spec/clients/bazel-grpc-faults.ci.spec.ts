import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { MiB, second } from "../../runtime/base/units.ts";
import { installMsMax } from "../support/client-packages.ts";
import type { NodeProcess } from "../support/node-process.ts";
import { type BazelClient, bazelBigOutputBytes, bazelVersions, makeBazelClient } from "./bazel.ts";
import { removeFileOf } from "./body-damage.ts";
import { type Build, freshWord } from "./flow.ts";
import { callsOf, grpcEngines, removeBodies, startGrpcNode } from "./grpc-node.ts";
import { type ActAfter, startWireTap } from "./wire-tap.ts";

setDefaultTimeout(180 * second + installMsMax);

const instance = "/bazel/ios";

// One Bazel for all specs of a version, as in bazel-grpc.ci.spec.ts.
describe.each(bazelVersions)("Bazel %s over gRPC", (version) => {
  let bazel: BazelClient;
  const mayCrash = version === "2.1.0";
  // What crashes takes ten times as long, and does so either way.
  const kills = mayCrash ? (["upload"] as const) : (["upload", "download"] as const);
  const whenKilled = mayCrash
    ? "may crash when its node is"
    : "builds everything although its node is";

  beforeAll(async () => {
    bazel = await makeBazelClient({ word: freshWord(`bazel ${version}`), version });
  });

  afterAll(async () => {
    await bazel[Symbol.asyncDispose]();
  });

  describe.each(grpcEngines)("by the engine %s", (engine) => {
    test("with minimal downloads leaves the outputs there, and takes those that an action needs", async () => {
      await using node = await startGrpcNode(engine);
      await using tap = await startWireTap({ port: node.grpcPort });
      bazel.writeExtra("");
      await bazel.wipe();

      const cold = await bazel.build(tap.url + instance, "--remote_download_minimal");
      await bazel.wipe();
      const bytesBefore = tap.fromNode.bytes;
      const minimal = await bazel.build(tap.url + instance, "--remote_download_minimal");
      const minimalBytes = tap.fromNode.bytes - bytesBefore;
      bazel.writeExtra("more");
      const oneMore = await bazel.build(tap.url + instance, "--remote_download_minimal");
      bazel.writeExtra("");
      await bazel.wipe();
      const whole = await bazel.build(tap.url + instance);

      expect(countsOf(cold)).toEqual({ hits: 0, misses: bazel.tasks });
      expect(countsOf(minimal), minimal.words).toEqual({ hits: bazel.tasks, misses: 0 });
      expect(minimal.outputs).toEqual({});
      expect(minimalBytes).toBeLessThan(bazelBigOutputBytes / 10);
      expect(countsOf(oneMore), oneMore.words).toEqual({ hits: 0, misses: 1 });
      expect(countsOf(whole), whole.words).toEqual({ hits: bazel.tasks, misses: 0 });
      expect(whole.outputs).toEqual(cold.outputs);
      expect(bazel.wrongOutputs()).toEqual([]);
    });

    test("is told misses when all bodies are gone, runs every action, and has them the next time", async () => {
      await using node = await startGrpcNode(engine);
      await buildAndStop(bazel, node);
      removeBodies(node.dataDir);
      await node.restart();

      await expectHealed(bazel, node, { hits: 0, misses: bazel.tasks });
      // The node knew before Bazel asked for the blobs.
      expect(await callsOf(node, "NOT_FOUND")).toEqual({ GetActionResult: bazel.tasks });
    });

    test("is told a miss for an action whose output is gone, runs it again, and has it the next time", async () => {
      await using node = await startGrpcNode(engine);
      const first = await buildAndStop(bazel, node);
      const key = `blob/${first.outputs["big.bin"]}`;
      const { dataDir } = node;
      await removeFileOf({ dataDir, producer: "reapi", namespace: "bazel/ios", key });
      await node.restart();

      await expectHealed(bazel, node, { hits: bazel.tasks - 1, misses: 1 });
      expect(await callsOf(node, "NOT_FOUND")).toEqual({ GetActionResult: 1 });
    });

    test.each(kills)(
      `${whenKilled} killed in mid-%s, and builds with the one that comes back`,
      async (kill) => {
        await using node = await startGrpcNode(engine);
        await bazel.wipe();
        const cold = kill === "download" ? await bazel.build(node.grpcUrl + instance) : null;
        await bazel.wipe();

        await buildWhileKilling(bazel, node, {
          way: kill === "upload" ? "toNode" : "fromNode",
          mayCrash,
        });

        await node.restart();
        const counts = cold === null ? null : { hits: bazel.tasks, misses: 0 };
        const healed = await expectHealed(bazel, node, counts);
        if (cold !== null) expect(healed.outputs).toEqual(cold.outputs);
      },
    );
  });
});

function countsOf({ hits, misses }: Build): { hits: number; misses: number } {
  return { hits, misses };
}

async function buildAndStop(bazel: BazelClient, node: NodeProcess): Promise<Build> {
  await bazel.wipe();
  const build = await bazel.build(node.grpcUrl + instance);
  expect(countsOf(build), build.words).toEqual({ hits: 0, misses: bazel.tasks });
  expect(await node.stop()).toBe(0);
  return build;
}

/** A build from nothing comes to these counts (null for any), and the one after it is all hits. */
async function expectHealed(
  bazel: BazelClient,
  node: NodeProcess,
  counts: { hits: number; misses: number } | null,
): Promise<Build> {
  await bazel.wipe();
  const healing = await bazel.build(node.grpcUrl + instance);
  expect(bazel.wrongOutputs()).toEqual([]);
  if (counts !== null) expect(countsOf(healing), healing.words).toEqual(counts);
  await bazel.wipe();
  const healed = await bazel.build(node.grpcUrl + instance);
  expect(countsOf(healed), healed.words).toEqual({ hits: bazel.tasks, misses: 0 });
  expect(healed.outputs).toEqual(healing.outputs);
  return healed;
}

/** Without waits between tries: the node that is waited for comes back only after the build. */
const fewRetries = "--remote_retries=1";
/**
 * Bazel 2.1.0 ends with this when a lookup or a FindMissingBlobs fails, whatever the error is.
 * @source https://github.com/bazelbuild/bazel/issues/11019
 */
const crash = "Unrecoverable error while evaluating node";

/** Kills the node when a third of the big output has gone one way. A Bazel that does not end with 0 throws. */
async function buildWhileKilling(
  bazel: BazelClient,
  node: NodeProcess,
  { way, mayCrash }: { way: ActAfter["way"]; mayCrash: boolean },
): Promise<void> {
  const actAfter = { way, bytes: MiB, act: () => node.kill() };
  await using tap = await startWireTap({ port: node.grpcPort, actAfter });
  const words = await bazel.build(tap.url + instance, fewRetries).then(
    (build) => build.words,
    (error) => String(error),
  );
  await tap.acted;
  if (mayCrash && words.includes(crash)) return;
  expect(words).toMatch(/WARNING: (Reading from|Writing to) Remote Cache/);
  expect(words).not.toContain("ended with");
  expect(bazel.wrongOutputs()).toEqual([]);
}

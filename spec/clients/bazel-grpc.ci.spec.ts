import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { installMsMax } from "../support/client-packages.ts";
import { type BazelClient, bazelVersions, makeBazelClient } from "./bazel.ts";
import { coldThenWarm, expectAllServed, expectNothingServed, freshWord } from "./flow.ts";
import { callsOf, grpcEngines, removeAllOf, startGrpcNode } from "./grpc-node.ts";

setDefaultTimeout(120 * second + installMsMax);

const instances = [
  ["without an instance", ""],
  ["with an instance that has slashes", "/bazel/ios"],
] as const;

// One Bazel for all specs of a version: the start of its server takes 8 s. Each spec has a node of its own, to which
// every build is new.
describe.each(bazelVersions)("Bazel %s over gRPC", (version) => {
  let bazel: BazelClient;

  beforeAll(async () => {
    bazel = await makeBazelClient({ word: freshWord(`bazel ${version}`), version });
  });

  afterAll(async () => {
    await bazel[Symbol.asyncDispose]();
  });

  describe.each(grpcEngines)("by the engine %s", (engine) => {
    test.each(instances)(
      "takes every action from a node that was killed after the first build, %s",
      async (_, at) => {
        await using node = await startGrpcNode(engine);
        await bazel.wipe();

        const builds = await coldThenWarm(bazel, node.grpcUrl + at, async () => {
          await node.kill();
          await node.restart();
        });

        expectAllServed(bazel.tasks, builds);
        expect(bazel.wrongOutputs()).toEqual([]);
        expect(builds.cold.words + builds.warm.words).not.toContain("Remote Cache");
        // Since the restart: every result and every output came over gRPC, and nothing went.
        const calls = await callsOf(node);
        expect(calls).toMatchObject({ GetActionResult: bazel.tasks, Read: bazel.tasks });
        expect(Object.keys(calls)).not.toContain("Write");
      },
    );

    test("keeps instances apart, and shares them with Bazel over HTTP", async () => {
      await using node = await startGrpcNode(engine);
      await bazel.wipe();

      const ios = await coldThenWarm(bazel, `${node.grpcUrl}/bazel/ios`);
      await bazel.wipe();
      const android = await coldThenWarm(bazel, `${node.grpcUrl}/bazel/android`);
      await bazel.wipe();
      const overHttp = await bazel.build(`${node.url}/bazel/ios`);

      expectAllServed(bazel.tasks, ios);
      expectAllServed(bazel.tasks, android);
      expect(overHttp).toMatchObject({ hits: bazel.tasks, misses: 0 });
      expect(overHttp.outputs).toEqual(ios.cold.outputs);
      expect(overHttp.outputs).not.toEqual(android.cold.outputs);
    });

    test("cannot prove a hit against a node that has lost its data directory", async () => {
      await using node = await startGrpcNode(engine);
      await bazel.wipe();

      const builds = await coldThenWarm(bazel, `${node.grpcUrl}/bazel/ios`, async () => {
        await node.stop();
        removeAllOf(node.dataDir);
        await node.restart();
      });

      expectNothingServed(bazel.tasks, builds);
    });
  });
});

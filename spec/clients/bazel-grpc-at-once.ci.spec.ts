// slow: two minutes, most of which a build takes
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { installMsMax } from "../support/client-packages.ts";
import type { NodeProcess } from "../support/node-process.ts";
import { type BazelClient, bazelVersions, makeBazelClient, manyActions } from "./bazel.ts";
import { type Build, expectAllServed, freshWord } from "./flow.ts";
import { grpcEngines, startGrpcNode } from "./grpc-node.ts";
import { startWireTap } from "./wire-tap.ts";

setDefaultTimeout(600 * second + installMsMax);

const parallelActions = 200;

describe.each(bazelVersions)("Bazel %s over gRPC", (version) => {
  test("takes all of 200 actions that it asks for at once, by either engine", async () => {
    const word = freshWord(`bazel ${version}`);
    const project = manyActions(parallelActions);
    await using bazel = await makeBazelClient({ word, version, project });
    for (const engine of grpcEngines) {
      await using node = await startGrpcNode(engine);
      await bazel.wipe();
      const cold = await buildAtOnce(bazel, node);
      await bazel.wipe();
      const warm = await buildAtOnce(bazel, node);

      expectAllServed(parallelActions, { cold, warm });
      expect(bazel.wrongOutputs()).toEqual([]);
    }
  });
});

/** All actions ask for their results before the first one is told. */
async function buildAtOnce(bazel: BazelClient, node: NodeProcess): Promise<Build> {
  await using tap = await startWireTap({ port: node.grpcPort, gather: bazel.tasks });
  const flags = [`--jobs=${bazel.tasks}`, "--local_cpu_resources=8"];
  const build = await bazel.build(`${tap.url}/bazel/ios`, ...flags);
  expect(tap.callsAtOnceMax).toBeGreaterThanOrEqual(bazel.tasks);
  return build;
}

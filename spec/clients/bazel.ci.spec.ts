import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { second } from "../../runtime/base/units.ts";
import { scratch } from "../contract/cli/run.ts";
import { installMsMax } from "../support/client-packages.ts";
import { startForgetfulServer } from "../support/forgetful-server.ts";
import { type NodeProcess, startNode } from "../support/node-process.ts";
import { bazelVersions, makeBazelClient } from "./bazel.ts";
import { flipByteOf, removeFileOf, type StoredArtifact } from "./body-damage.ts";
import {
  type Build,
  coldThenWarm,
  expectAllServed,
  expectNothingServed,
  freshWord,
  type JudgedClient,
} from "./flow.ts";

setDefaultTimeout(120 * second + installMsMax);

const instancePath = "/bazel/ios";

// One Bazel for all specs of a version: the start of its server takes 8 s. Each spec has a node of its own, to which
// every build is new.
describe.each(bazelVersions)("Bazel %s over HTTP", (version) => {
  let bazel: JudgedClient;

  beforeAll(async () => {
    bazel = await makeBazelClient({ word: freshWord(`bazel ${version}`), version });
  });

  afterAll(async () => {
    await bazel[Symbol.asyncDispose]();
  });

  test.each([
    ["without an instance", ""],
    ["with an instance path", instancePath],
    ["with an instance path that ends with a slash", `${instancePath}/`],
  ])("takes every action from a node that was killed after the first build, %s", async (_, at) => {
    await using node = await startNode();
    await bazel.wipe();

    const builds = await coldThenWarm(bazel, node.url + at, async () => {
      await node.kill();
      await node.restart();
    });

    expectAllServed(bazel.tasks, builds);
    expect(bazel.wrongOutputs()).toEqual([]);
    expect(builds.cold.words + builds.warm.words).not.toContain("Remote Cache");
  });

  test("keeps instances apart", async () => {
    await using node = await startNode();
    await bazel.wipe();

    const ios = await coldThenWarm(bazel, `${node.url}/bazel/ios`);
    await bazel.wipe();
    const android = await coldThenWarm(bazel, `${node.url}/bazel/android`);
    await bazel.wipe();
    const again = await bazel.build(`${node.url}/bazel/ios`);

    expectAllServed(bazel.tasks, ios);
    expectAllServed(bazel.tasks, android);
    expect(again.outputs).toEqual(ios.cold.outputs);
    expect(again.outputs).not.toEqual(android.cold.outputs);
  });

  test("has its outputs in Kura under their digests", async () => {
    await using node = await startNode();
    await bazel.wipe();
    const { outputs } = await bazel.build(node.url + instancePath);

    for (const digest of Object.values(outputs)) {
      const answer = await fetch(`${node.url}${instancePath}/cas/${digest}`);
      expect(sha256Hex(await answer.bytes())).toBe(digest);
      expect((await fetch(`${node.url}/cas/${digest}`)).status).toBe(404);
    }
  });

  test("runs an action again whose output was damaged on disk, and only that and what needs it", async () => {
    using made = scratch();
    const first = await buildAndStop(bazel, made.folder);
    await flipByteOf(blobOf(made.folder, first.outputs["g0.txt"]));
    await bazel.wipe();

    await using node = await startNode({ dataDir: made.folder });
    const second = await bazel.build(node.url + instancePath);

    // The chance in the new output makes its user new as well.
    expect({ hits: second.hits, misses: second.misses }).toEqual({ hits: 2, misses: 2 });
    expect(bazel.wrongOutputs()).toEqual([]);
    expect(second.outputs).toMatchObject(without(first.outputs, ["g0.txt", "sum.txt"]));
    expect(second.outputs["g0.txt"]).not.toBe(first.outputs["g0.txt"]);
    await expectAllHits(bazel, node, second);
  });

  test("is told a miss for an action whose output is gone, runs it again, and has it the next time", async () => {
    using made = scratch();
    const first = await buildAndStop(bazel, made.folder);
    await removeFileOf(blobOf(made.folder, first.outputs["big.bin"]));
    await bazel.wipe();

    await using node = await startNode({ dataDir: made.folder });
    const second = await bazel.build(node.url + instancePath);

    expect({ hits: second.hits, misses: second.misses }).toEqual({ hits: 3, misses: 1 });
    expect(second.outputs).toMatchObject(without(first.outputs, ["big.bin"]));
    // The node knew before Bazel asked for the blob.
    expect(await missesOf(node, "ac")).toBe(1);
    expect(await missesOf(node, "cas")).toBe(0);
    await expectAllHits(bazel, node, second);
  });

  test("cannot prove a hit against a server that forgets", async () => {
    await using forgetful = startForgetfulServer();
    await bazel.wipe();

    const builds = await coldThenWarm(bazel, forgetful.url + instancePath);

    expectNothingServed(bazel.tasks, builds);
    const results = forgetful.requests.filter((line) => line.startsWith("PUT /bazel/ios/ac/"));
    expect(results).toHaveLength(2 * bazel.tasks);
  });
});

async function buildAndStop(bazel: JudgedClient, dataDir: string): Promise<Build> {
  await using node = await startNode({ dataDir });
  await bazel.wipe();
  const build = await bazel.build(node.url + instancePath);
  expect(build.misses, build.words).toBe(bazel.tasks);
  expect(await node.stop()).toBe(0);
  return build;
}

async function expectAllHits(bazel: JudgedClient, node: NodeProcess, last: Build): Promise<void> {
  await bazel.wipe();
  const build = await bazel.build(node.url + instancePath);
  expect({ hits: build.hits, misses: build.misses }).toEqual({ hits: bazel.tasks, misses: 0 });
  expect(build.outputs).toEqual(last.outputs);
}

/** A blob of the instance in the data directory of a stopped node. */
function blobOf(dataDir: string, digest: string | undefined): StoredArtifact {
  return { dataDir, producer: "reapi", namespace: "bazel/ios", key: `blob/${digest}` };
}

/** Requests for one folder of an instance that were answered with 404. */
async function missesOf(node: NodeProcess, folder: "ac" | "cas"): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  const route = `kura_http_requests_total{route="/{instance}/${folder}/{hash}"`;
  const lines = text.split("\n").filter((line) => line.startsWith(route));
  const misses = lines.filter((line) => line.includes('status="404"'));
  return misses.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

function without(outputs: Build["outputs"], names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(outputs).filter(([name]) => !names.includes(name)));
}

function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

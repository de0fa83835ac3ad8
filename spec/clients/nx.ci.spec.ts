import { expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { installMsMax } from "../support/client-packages.ts";
import { startForgetfulServer } from "../support/forgetful-server.ts";
import { startNode } from "../support/node-process.ts";
import { coldThenWarm, expectAllServed, expectNothingServed, freshWord } from "./flow.ts";
import { makeNxClient } from "./nx.ts";

setDefaultTimeout(80 * second + installMsMax);

test("Nx takes every task from Kura once outputs and its own caches are gone", async () => {
  await using node = await startNode();
  await using nx = await makeNxClient(freshWord("nx"));

  const builds = await coldThenWarm(nx, node.url);

  expectAllServed(nx.tasks, builds);
  expect(builds.warm.words).toContain("3/3 hit (100%)");
});

test("Nx takes every task from a node that was killed after the first build", async () => {
  await using node = await startNode();
  await using nx = await makeNxClient(freshWord("nx"));

  const builds = await coldThenWarm(nx, node.url, async () => {
    await node.kill();
    await node.restart();
  });

  expectAllServed(nx.tasks, builds);
});

test("Nx names its tasks by decimal numbers, under which Kura has them", async () => {
  await using node = await startNode();
  await using nx = await makeNxClient(freshWord("nx"));
  await nx.build(node.url);

  const hashes = nx.localHashes();

  expect(hashes).toHaveLength(nx.tasks);
  for (const hash of hashes) {
    expect(hash).toMatch(/^[0-9]{1,20}$/);
    const answer = await fetch(`${node.url}/v1/cache/${hash}`, { method: "GET" });
    expect(answer.status).toBe(200);
    expect((await answer.arrayBuffer()).byteLength).toBeGreaterThan(0);
  }
});

test("an Nx build passes when another machine has stored the same tasks first, and the first results stay", async () => {
  await using node = await startNode();
  await using nx = await makeNxClient(freshWord("nx"));
  const first = await nx.build(node.url);
  nx.wipe();

  // To the second machine the tasks were misses when it asked, and are there when it uploads.
  await using late = startLateGate(node.url);
  const second = await nx.build(late.url);
  nx.wipe();
  const third = await nx.build(node.url);

  expect(second.misses, second.words).toBe(nx.tasks);
  expect(second.outputs).not.toEqual(first.outputs);
  expect(late.putStatuses).toHaveLength(nx.tasks);
  for (const status of late.putStatuses) expect([200, 409]).toContain(status);
  expect(third.hits, third.words).toBe(nx.tasks);
  expect(third.outputs).toEqual(first.outputs);
});

test("the proof of Nx fails against a server that forgets", async () => {
  await using forgetful = startForgetfulServer();
  await using nx = await makeNxClient(freshWord("nx"));

  const builds = await coldThenWarm(nx, forgetful.url);

  expectNothingServed(nx.tasks, builds);
  expect(forgetful.requests.filter((line) => line.startsWith("PUT "))).toHaveLength(2 * nx.tasks);
});

type LateGate = {
  readonly url: string;
  readonly putStatuses: readonly number[];
  [Symbol.asyncDispose](): Promise<void>;
};

/** Stands before a node: every read is a miss, writes go through. */
function startLateGate(nodeUrl: string): LateGate {
  const putStatuses: number[] = [];
  const gate = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      if (request.method !== "PUT") return new Response("", { status: 404 });
      const body = await request.arrayBuffer();
      const { pathname } = new URL(request.url);
      const answer = await fetch(nodeUrl + pathname, {
        method: "PUT",
        headers: request.headers,
        body,
      });
      putStatuses.push(answer.status);
      return new Response(await answer.text(), { status: answer.status });
    },
  });
  return {
    url: `http://127.0.0.1:${gate.port}`,
    putStatuses,
    async [Symbol.asyncDispose]() {
      await gate.stop(true);
    },
  };
}

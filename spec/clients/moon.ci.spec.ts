import { expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { installMsMax } from "../support/client-packages.ts";
import { startForgetfulServer } from "../support/forgetful-server.ts";
import { startNode } from "../support/node-process.ts";
import { coldThenWarm, expectAllServed, expectNothingServed, freshWord } from "./flow.ts";
import { makeMoonClient, moonInstance } from "./moon.ts";

setDefaultTimeout(80 * second + installMsMax);

test("moon takes every task from Kura over HTTP once outputs and its own cache are gone", async () => {
  await using node = await startNode();
  await using moon = await makeMoonClient(freshWord("moon"));

  const builds = await coldThenWarm(moon, node.url);

  expectAllServed(moon.tasks, builds);
  expect(moon.wrongOutputs()).toEqual([]);
  expect(builds.warm.words).toContain("2 completed (2 cached)");
});

test("moon takes every task from a node that was killed after the first build, and has its outputs there", async () => {
  await using node = await startNode();
  await using moon = await makeMoonClient(freshWord("moon"));

  const builds = await coldThenWarm(moon, node.url, async () => {
    await node.kill();
    await node.restart();
  });

  expectAllServed(moon.tasks, builds);
  for (const digest of Object.values(builds.cold.outputs)) {
    expect((await fetch(`${node.url}/${moonInstance}/cas/${digest}`)).status).toBe(200);
  }
});

test("the proof of moon fails against a server that forgets", async () => {
  await using forgetful = startForgetfulServer();
  await using moon = await makeMoonClient(freshWord("moon"));

  const builds = await coldThenWarm(moon, forgetful.url);

  expectNothingServed(moon.tasks, builds);
  const results = forgetful.requests.filter((line) => line.startsWith(`PUT /${moonInstance}/ac/`));
  expect(results).toHaveLength(2 * moon.tasks);
});

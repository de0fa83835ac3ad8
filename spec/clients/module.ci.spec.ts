import { expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { startForgetfulServer } from "../support/forgetful-server.ts";
import { startNode } from "../support/node-process.ts";
import { coldThenWarm, expectAllServed, expectNothingServed, freshWord } from "./flow.ts";
import { makeModuleClient } from "./module.ts";

setDefaultTimeout(80 * second);

test("modules uploaded in parts are all taken from Kura once outputs and local copies are gone", async () => {
  await using node = await startNode();
  await using client = await makeModuleClient(freshWord("module"));

  const builds = await coldThenWarm(client, node.url);

  expectAllServed(client.tasks, builds);
  expect(client.wrongOutputs()).toEqual([]);
  expect(builds.cold.words).toContain(`"uploaded":3,"errors":[]`);
  expect(builds.warm.words).toContain(`"uploaded":0,"errors":[]`);
});

test("modules are all taken from a node that was killed after the first build", async () => {
  await using node = await startNode();
  await using client = await makeModuleClient(freshWord("module"));

  const builds = await coldThenWarm(client, node.url, async () => {
    await node.kill();
    await node.restart();
  });

  expectAllServed(client.tasks, builds);
});

test("the proof of modules fails against a server that forgets", async () => {
  await using forgetful = startForgetfulServer();
  await using client = await makeModuleClient(freshWord("module"));

  const builds = await coldThenWarm(client, forgetful.url);

  expectNothingServed(client.tasks, builds);
  const starts = forgetful.requests.filter((line) => line === "POST /api/cache/module/start");
  expect(starts).toHaveLength(2 * client.tasks);
});

import { expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { installMsMax } from "../support/client-packages.ts";
import { startForgetfulServer } from "../support/forgetful-server.ts";
import { startNode } from "../support/node-process.ts";
import { coldThenWarm, expectAllServed, expectNothingServed, freshWord } from "./flow.ts";
import { makeMetroClient, noErrors } from "./metro.ts";

setDefaultTimeout(80 * second + installMsMax);

test("Metro takes every module from Kura once outputs and its own state are gone", async () => {
  await using node = await startNode();
  await using metro = await makeMetroClient(freshWord("metro"));

  const builds = await coldThenWarm(metro, node.url);

  expectAllServed(metro.tasks, builds);
  expect(builds.cold.words).toContain(noErrors);
  expect(builds.warm.words).toContain(noErrors);
});

test("Metro takes every module from a node that was killed after the first build", async () => {
  await using node = await startNode();
  await using metro = await makeMetroClient(freshWord("metro"));

  const builds = await coldThenWarm(metro, node.url, async () => {
    await node.kill();
    await node.restart();
  });

  expectAllServed(metro.tasks, builds);
  expect(builds.cold.words).toContain(noErrors);
  expect(builds.warm.words).toContain(noErrors);
});

test("the proof of Metro fails against a server that forgets", async () => {
  await using forgetful = startForgetfulServer();
  await using metro = await makeMetroClient(freshWord("metro"));

  const builds = await coldThenWarm(metro, forgetful.url);

  expectNothingServed(metro.tasks, builds);
  const puts = forgetful.requests.filter((line) => line.startsWith("PUT /api/metro/cache/"));
  expect(puts).toHaveLength(2 * metro.tasks);
  for (const line of puts) expect(line).toMatch(/\/[0-9a-f]{72}$/);
});

import { expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { startForgetfulServer } from "../support/forgetful-server.ts";
import { startNode } from "../support/node-process.ts";
import { coldThenWarm, expectAllServed, expectNothingServed, freshWord } from "./flow.ts";
import { makeGradleClient } from "./gradle.ts";

setDefaultTimeout(90 * second);

test("stock Gradle takes every task from Kura once outputs and its own home are gone", async () => {
  await using node = await startNode();
  await using gradle = makeGradleClient(freshWord("gradle"));

  const builds = await coldThenWarm(gradle, node.url);

  expectAllServed(gradle.tasks, builds);
  expect(builds.warm.words).toContain("4 from cache");
  expect(builds.cold.words + builds.warm.words).not.toContain("build cache was disabled");
});

test("stock Gradle takes every task from a node that was killed after the first build", async () => {
  await using node = await startNode();
  await using gradle = makeGradleClient(freshWord("gradle"));

  const builds = await coldThenWarm(gradle, node.url, async () => {
    await node.kill();
    await node.restart();
  });

  expectAllServed(gradle.tasks, builds);
});

test("the proof of Gradle fails against a server that forgets", async () => {
  await using forgetful = startForgetfulServer();
  await using gradle = makeGradleClient(freshWord("gradle"));

  const builds = await coldThenWarm(gradle, forgetful.url);

  expectNothingServed(gradle.tasks, builds);
  expect(forgetful.requests.filter((line) => line.startsWith("PUT /cache/acme/ios/"))).toHaveLength(
    2 * gradle.tasks,
  );
});

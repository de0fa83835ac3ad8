import { expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { installMsMax } from "../support/client-packages.ts";
import { startForgetfulServer } from "../support/forgetful-server.ts";
import { type NodeProcess, startNode, until } from "../support/node-process.ts";
import { coldThenWarm, expectAllServed, expectNothingServed, freshWord } from "./flow.ts";
import { makeTurborepoClient, type TurborepoOptions } from "./turborepo.ts";

setDefaultTimeout(80 * second + installMsMax);

const signed = { signatureKey: "a key of this spec that has 32 bytes and more" };

test.each<[string, TurborepoOptions]>([
  ["named by its slug", {}],
  ["named by its id", { teamId: "team_kx9Yw" }],
  ["that signs", signed],
])("Turborepo of a team %s takes every task from a killed node", async (_, options) => {
  await using node = await startNode();
  await using turborepo = await makeTurborepoClient(freshWord("turborepo"), options);

  const builds = await coldThenWarm(turborepo, node.url, async () => {
    await node.kill();
    await node.restart();
  });

  expectAllServed(turborepo.tasks, builds);
  expect(turborepo.wrongOutputs()).toEqual([]);
  expect(builds.warm.words).toContain("2 cached, 2 total");
});

test("Turborepo tells Kura of its hits and misses", async () => {
  await using node = await startNode();
  await using turborepo = await makeTurborepoClient(freshWord("turborepo"));

  await coldThenWarm(turborepo, node.url);

  for (const event of ["MISS", "HIT"]) {
    const line = `kura_turborepo_events_total{source="REMOTE",event="${event}"} 2`;
    await until(line, async () => (await metrics(node)).includes(line));
  }
});

test("two teams of one node do not see each other's artifacts, and a renamed team keeps its own", async () => {
  await using node = await startNode();
  await using turborepo = await makeTurborepoClient(freshWord("turborepo"), { teamId: "team_one" });
  const first = await turborepo.build(node.url);
  turborepo.wipe();

  const other = await turborepo.as({ teamId: "team_two" }).build(node.url);
  turborepo.wipe();
  const renamed = await turborepo.as({ teamId: "team_one", team: "renamed" }).build(node.url);

  expect(other.hits, other.words).toBe(0);
  expect(renamed.hits, renamed.words).toBe(turborepo.tasks);
  expect(renamed.outputs).toEqual(first.outputs);
});

test("artifacts signed with another key are misses, and those of the new key take their place", async () => {
  await using node = await startNode();
  await using turborepo = await makeTurborepoClient(freshWord("turborepo"), signed);
  const other = turborepo.as({ signatureKey: "another key, which has 32 bytes and more too" });
  await turborepo.build(node.url);
  turborepo.wipe();

  const builds = await coldThenWarm(other, node.url);

  expectAllServed(turborepo.tasks, builds);
});

test("a team that begins to sign gets its unsigned artifacts out of the way", async () => {
  await using node = await startNode();
  await using unsigned = await makeTurborepoClient(freshWord("turborepo"));
  await unsigned.build(node.url);
  unsigned.wipe();

  const builds = await coldThenWarm(unsigned.as(signed), node.url);

  expectAllServed(unsigned.tasks, builds);
});

test("the proof of Turborepo fails against a server that forgets", async () => {
  await using forgetful = startForgetfulServer();
  await using turborepo = await makeTurborepoClient(freshWord("turborepo"));

  const builds = await coldThenWarm(turborepo, forgetful.url);

  expectNothingServed(turborepo.tasks, builds);
});

async function metrics(node: NodeProcess): Promise<string> {
  return (await fetch(`${node.url}/metrics`)).text();
}

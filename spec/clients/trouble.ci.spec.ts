// heavy: forty builds one after the other, each of which has a deadline.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { installMsMax } from "../support/client-packages.ts";
import { startNode } from "../support/node-process.ts";
import { startTroubled, troubles } from "../support/troubled-server.ts";
import { startUploadGate } from "../support/upload-gate.ts";
import { makeBazelClient } from "./bazel.ts";
import { makeCcacheClient } from "./ccache.ts";
import { freshWord, type JudgedClient } from "./flow.ts";
import { makeGradleClient } from "./gradle.ts";
import { makeMetroClient } from "./metro.ts";
import { makeMoonClient } from "./moon.ts";
import { makeNxClient } from "./nx.ts";
import { makeTurborepoClient } from "./turborepo.ts";

setDefaultTimeout(120 * second + installMsMax);

type Case = {
  readonly name: string;
  readonly make: (word: string) => JudgedClient | Promise<JudgedClient>;
  /** Whether it builds on by itself when its server is gone. Nx gives up, and so does Metro's HttpStore. */
  readonly hasFallback: boolean;
};

const cases: readonly Case[] = [
  { name: "Nx", make: makeNxClient, hasFallback: false },
  { name: "Metro", make: makeMetroClient, hasFallback: false },
  { name: "Gradle", make: makeGradleClient, hasFallback: true },
  {
    name: "Bazel 4.2.3",
    make: (word) => makeBazelClient({ word, version: "4.2.3" }),
    hasFallback: true,
  },
  {
    name: "Bazel 2.1.0",
    make: (word) => makeBazelClient({ word, version: "2.1.0" }),
    hasFallback: true,
  },
  { name: "moon", make: makeMoonClient, hasFallback: true },
  { name: "ccache", make: (word) => makeCcacheClient(word, "subdirs"), hasFallback: true },
  { name: "Turborepo", make: (word) => makeTurborepoClient(word), hasFallback: true },
];

describe.each(cases)("$name", ({ name, make, hasFallback }) => {
  let client: JudgedClient;

  beforeAll(async () => {
    client = await make(freshWord(name));
  });

  afterAll(async () => {
    await client[Symbol.asyncDispose]();
  });

  // A driver throws when its client ends with anything but 0.
  test.each(troubles)("builds everything on a server that is %s", async (trouble) => {
    await using server = await startTroubled(trouble);
    await client.wipe();

    await client.build(server.url);

    expect(client.wrongOutputs()).toEqual([]);
    expect(await server.refusals()).toBeGreaterThan(0);
  });

  const title = hasFallback
    ? "builds everything although its server is killed in the middle"
    : "may fail when its server is killed in the middle";
  test(`${title}, and builds with the node that comes back`, async () => {
    await using node = await startNode();
    await using gate = await startUploadGate({
      port: node.port,
      nth: 2,
      act: () => node.kill(),
    });
    await client.wipe();

    const failure = await client.build(gate.url).then(
      () => null,
      (error: unknown) => error,
    );
    await gate.acted;

    if (hasFallback) {
      expect(failure).toBeNull();
      expect(client.wrongOutputs()).toEqual([]);
    }
    await node.restart();
    await client.wipe();
    await client.build(node.url);
    expect(client.wrongOutputs()).toEqual([]);
  });
});

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { startForgetfulServer } from "../support/forgetful-server.ts";
import { startNode } from "../support/node-process.ts";
import { ccacheBase, ccacheCounter, ccacheLayouts, makeCcacheClient } from "./ccache.ts";
import { coldThenWarm, expectAllServed, expectNothingServed, freshWord } from "./flow.ts";

setDefaultTimeout(80 * second);

/** How the keys of each layout look on the wire. */
const keys = {
  flat: /\/[0-9a-v]{33}$/,
  subdirs: /\/[0-9a-v]{2}\/[0-9a-v]{31}$/,
  bazel: /\/ac\/[0-9a-f]{64}$/,
} as const;

describe.each(ccacheLayouts)("ccache in the layout %s", (layout) => {
  test("takes every object from a node that was killed after the first build", async () => {
    await using node = await startNode();
    await using ccache = makeCcacheClient(freshWord("ccache"), layout);

    const builds = await coldThenWarm(ccache, node.url, async () => {
      await node.kill();
      await node.restart();
    });

    expectAllServed(ccache.tasks, builds);
    expect(ccache.wrongOutputs()).toEqual([]);
    for (const { words } of [builds.cold, builds.warm]) {
      expect(ccacheCounter(words, "remote_storage_error")).toBe(0);
      expect(ccacheCounter(words, "remote_storage_timeout")).toBe(0);
    }
  });

  test("cannot prove a hit against a server that forgets", async () => {
    await using forgetful = startForgetfulServer();
    await using ccache = makeCcacheClient(freshWord("ccache"), layout);

    const builds = await coldThenWarm(ccache, forgetful.url);

    expectNothingServed(ccache.tasks, builds);
    const puts = forgetful.requests.filter((line) => line.startsWith(`PUT ${ccacheBase}/`));
    // A manifest and a result for each object.
    expect(puts).toHaveLength(2 * 2 * ccache.tasks);
    for (const line of puts) expect(line).toMatch(keys[layout]);
  });
});

test("ccache finds its objects after a change from the layout flat to subdirs", async () => {
  await using node = await startNode();
  const word = freshWord("ccache");
  await using flat = makeCcacheClient(word, "flat");
  await using subdirs = makeCcacheClient(word, "subdirs");

  const stored = await flat.build(node.url);
  const found = await subdirs.build(node.url);

  expect({ hits: stored.hits, misses: stored.misses }).toEqual({ hits: 0, misses: flat.tasks });
  expect({ hits: found.hits, misses: found.misses }).toEqual({ hits: subdirs.tasks, misses: 0 });
  expect(found.outputs).toEqual(stored.outputs);
});

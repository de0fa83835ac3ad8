import { expect, test } from "bun:test";
import { NodeLife } from "../../../../runtime/observe/node-status.ts";

function makeLife() {
  const identity = {
    tenant: "t",
    region: "r",
    nodeUrl: "http://a:1",
    version: "0",
    isInsecure: false,
  };
  return new NodeLife(identity, () => ({ doneBytes: 3, totalBytes: 9 }));
}

test("a node recovers, joins, serves and drains, and tells why it is not ready", () => {
  const life = makeLife();
  expect([life.state, life.isReady, life.reasons()]).toEqual([
    "joining",
    false,
    [{ code: "recovering", sentence: "recovering the store: 3 of 9 bytes" }],
  ]);
  life.advance("joining");
  expect([life.state, life.isReady, life.reasons()]).toEqual([
    "joining",
    false,
    [{ code: "joining", sentence: "joining the mesh" }],
  ]);
  life.advance("serving");
  expect([life.state, life.isReady, life.reasons()]).toEqual(["serving", true, []]);
  life.advance("draining");
  expect([life.state, life.isReady, life.reasons()]).toEqual([
    "draining",
    false,
    [{ code: "draining", sentence: "draining" }],
  ]);
});

test("a drain that began during the recovery stays a drain when the recovery ends", () => {
  const life = makeLife();
  life.advance("draining");
  expect(life.advance("serving")).toBe(false);
  expect(life.state).toBe("draining");
});

test("a store that takes no writes takes the node out of rotation until it has passed", () => {
  const life = makeLife();
  life.advance("serving");
  const trouble = { code: "store_read_only", sentence: "the store is read-only: EIO" } as const;
  life.setTrouble(trouble);
  expect([life.isReady, life.reasons()]).toEqual([false, [trouble]]);
  life.setTrouble(null);
  expect(life.isReady).toBe(true);
});

test("an end without a start is a defect that stops the process", () => {
  const life = makeLife();
  life.httpStarted();
  life.httpEnded();
  expect(() => life.httpEnded()).toThrow("counted at its start");
});

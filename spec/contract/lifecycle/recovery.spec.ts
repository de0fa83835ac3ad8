import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import {
  accepts,
  makeTemporaryFolder,
  type NodeProcess,
  spawnNode,
  startNode,
  until,
} from "../../support/node-process.ts";

const artifactCount = 3_000;
const artifact = (i: number): string => `/api/cache/gradle/k${i}?tenant_id=default`;

/** A data directory whose index is lost, so that the next start has every record to read. */
async function makeLostIndex(): Promise<string> {
  const dataDir = makeTemporaryFolder("recovery-spec");
  await using node = await startNode({ dataDir });
  const put = async (i: number): Promise<void> => {
    expect(
      (await fetch(`${node.url}${artifact(i)}`, { method: "PUT", body: `b${i}` })).status,
    ).toBe(201);
  };
  for (let i = 0; i < artifactCount; i += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, k) => put(i + k)));
  }
  await node.kill();
  for (const name of fs.readdirSync(dataDir)) {
    if (name.startsWith("kura.db")) fs.rmSync(path.join(dataDir, name));
  }
  return dataDir;
}

/** Starts a node and stops its process the moment it accepts connections, before it can end its recovery. */
async function freezeInRecovery(dataDir: string): Promise<NodeProcess> {
  const node = await spawnNode({ dataDir });
  await until("the port is bound", () => accepts(node.port), 20_000);
  process.kill(node.pid, "SIGSTOP");
  return node;
}

test("a node that recovers is up and not ready, refuses cache requests, and then has everything", async () => {
  const dataDir = await makeLostIndex();
  await using node = await spawnNode({ dataDir });
  await until("the port is bound", () => accepts(node.port), 20_000);
  const seen = new Set<string>();
  await until("the node is ready", async () => {
    const [up, ready] = await Promise.all([fetch(`${node.url}/up`), fetch(`${node.url}/ready`)]);
    expect(up.status).toBe(200);
    if (ready.status === 200) return true;
    const told = (await ready.json()) as { state: string; reasons: string[] };
    seen.add(`${told.state}: ${told.reasons[0]}`);
    const read = await fetch(`${node.url}${artifact(0)}`);
    if (read.status !== 200) {
      expect([read.status, read.headers.get("retry-after")]).toEqual([
        503,
        expect.stringMatching(/^\d+$/),
      ]);
    }
    return false;
  });
  for (const told of seen) expect(told).toStartWith("joining: recovering the store: ");
  for (const i of [0, 1, artifactCount - 1]) {
    expect(await (await fetch(`${node.url}${artifact(i)}`)).text()).toBe(`b${i}`);
  }
  expect(await node.stop()).toBe(0);
  fs.rmSync(dataDir, { recursive: true });
});

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s during the recovery ends the node with 0",
  async (name) => {
    const dataDir = await makeLostIndex();
    await using node = await freezeInRecovery(dataDir);
    process.kill(node.pid, name);
    process.kill(node.pid, "SIGCONT");
    expect(await node.exited).toBe(0);
    await using next = await startNode({ dataDir });
    expect(await (await fetch(`${next.url}${artifact(5)}`)).text()).toBe("b5");
    expect(await next.stop()).toBe(0);
    fs.rmSync(dataDir, { recursive: true });
  },
);

test("SIGUSR1 during the recovery drains: the node stays up and never becomes ready", async () => {
  const dataDir = await makeLostIndex();
  await using node = await freezeInRecovery(dataDir);
  process.kill(node.pid, "SIGUSR1");
  process.kill(node.pid, "SIGCONT");
  await until("the drain has ended", () => node.stderr().includes('"message":"drained"'));
  await until("the recovery has ended", () => node.stderr().includes("store: recovered"));
  expect((await fetch(`${node.url}/up`)).status).toBe(200);
  expect(await (await fetch(`${node.url}/ready`)).json()).toMatchObject({ state: "draining" });
  expect((await fetch(`${node.url}${artifact(1)}`)).status).toBe(503);
  expect(await node.stop()).toBe(0);
  fs.rmSync(dataDir, { recursive: true });
});

test("a signal in the first moments of the process is not lost", async () => {
  // Whenever it comes after the handlers are there, the end is an orderly one; before that the system's default kills.
  for (const delayMs of [40, 80, 120]) {
    const node = await spawnNode();
    spawnSync("sleep", [String(delayMs / 1_000)]);
    process.kill(node.pid, "SIGTERM");
    expect([0, 143]).toContain(await node.exited);
    await node[Symbol.asyncDispose]();
  }
});

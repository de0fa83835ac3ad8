import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { type NodeProcess, startNode } from "../../support/node-process.ts";
import { complaints, kura, scratch } from "./run.ts";

const query = "tenant_id=default&namespace_id=ios";

async function fill(node: NodeProcess): Promise<void> {
  for (let i = 0; i < 20; i++) {
    const url = `${node.url}/api/cache/gradle/k${i}?${query}`;
    expect((await fetch(url, { method: "PUT", body: `body ${i} `.repeat(100) })).status).toBe(201);
  }
  const large = Buffer.alloc(2_500_000, "large");
  const url = `${node.url}/api/cache/gradle/large?${query}`;
  expect((await fetch(url, { method: "PUT", body: large })).status).toBe(201);
}

/** A stopped node's data directory with 21 artifacts. */
async function makeData(dataDir: string): Promise<void> {
  await using node = await startNode({ dataDir });
  await fill(node);
  expect(await node.stop()).toBe(0);
}

function digests(dataDir: string): Record<string, string> {
  const names = fs.readdirSync(dataDir, { recursive: true, encoding: "utf8" });
  const files = names.filter((name) => /^(segments|large)\//.test(name));
  return Object.fromEntries(
    files.map((name) => [
      name,
      createHash("sha256")
        .update(fs.readFileSync(path.join(dataDir, name)))
        .digest("hex"),
    ]),
  );
}

test("a stopped node's store, segments and artifacts can be looked at", async () => {
  using made = scratch();
  await makeData(made.folder);
  const before = digests(made.folder);
  const at = ["--data-dir", made.folder];
  const store = await kura(["inspect", "store", ...at]);
  expect({ code: store.code, stderr: store.stderr }).toEqual({ code: 0, stderr: "" });
  expect(JSON.parse(store.stdout)).toMatchObject({ artifactCount: 21, largeFileCount: 1 });
  const segments = await kura(["inspect", "segments", ...at]);
  expect(JSON.parse(segments.stdout).length).toBeGreaterThan(0);
  const args = ["inspect", "artifact", "--producer", "gradle", "--namespace", "ios", ...at];
  const artifact = await kura([...args, "--key", "k3"]);
  expect(JSON.parse(artifact.stdout)).toMatchObject({ key: "k3", sizeBytes: 700 });
  expect((await kura([...args, "--key", "none"])).code).toBe(66);
  expect(digests(made.folder)).toEqual(before);
});

test("verify reads everything, also beside a running node, and ends with 74 when something is damaged", async () => {
  using made = scratch();
  await makeData(made.folder);
  const verify = () => kura(["inspect", "verify", "--data-dir", made.folder]);
  const whole = await verify();
  expect(whole.code).toBe(0);
  expect(JSON.parse(whole.stdout)).toMatchObject({ checkedCount: 21, damagedCount: 0 });
  expect(complaints(whole).at(-1)).toContain("verify: 100 %");
  {
    await using node = await startNode({ dataDir: made.folder });
    expect(JSON.parse((await verify()).stdout)).toMatchObject({
      checkedCount: 21,
      damagedCount: 0,
    });
    expect(await node.stop()).toBe(0);
  }
  const folder = path.join(made.folder, "large");
  const file = path.join(folder, fs.readdirSync(folder)[0] ?? "");
  const bytes = fs.readFileSync(file);
  bytes[100_000] = (bytes[100_000] ?? 0) ^ 1;
  fs.writeFileSync(file, bytes);
  const damaged = await verify();
  expect(damaged.code).toBe(74);
  expect(JSON.parse(damaged.stdout)).toMatchObject({ checkedCount: 21, damagedCount: 1 });
  expect(complaints(damaged).at(-1)).toContain("1 of 21 artifacts are damaged");
});

test("rebuild makes an index that finds everything again", async () => {
  using made = scratch();
  await makeData(made.folder);
  // More than the rebuild reads ahead at one time: what it took from a page must outlive that page.
  const big = (i: number): string => `/api/cache/gradle/big${i}?${query}`;
  {
    await using node = await startNode({ dataDir: made.folder });
    for (let i = 0; i < 12; i++) {
      await fetch(`${node.url}${big(i)}`, {
        method: "PUT",
        body: Buffer.alloc(900_000, `big ${i} `),
      });
    }
    expect(await node.stop()).toBe(0);
  }
  for (const name of ["kura.db", "kura.db-wal", "kura.db-shm"]) {
    fs.rmSync(path.join(made.folder, name), { force: true });
  }
  const rebuilt = await kura(["inspect", "rebuild", "--data-dir", made.folder]);
  expect({ code: rebuilt.code, lines: complaints(rebuilt).length > 0 }).toEqual({
    code: 0,
    lines: true,
  });
  expect(JSON.parse(rebuilt.stdout)).toMatchObject({ artifactCount: 33 });
  await using node = await startNode({ dataDir: made.folder });
  const answer = await fetch(`${node.url}/api/cache/gradle/k7?${query}`);
  expect(await answer.text()).toBe("body 7 ".repeat(100));
  for (let i = 0; i < 12; i++) {
    const bytes = await (await fetch(`${node.url}${big(i)}`)).bytes();
    expect(Buffer.from(bytes).equals(Buffer.alloc(900_000, `big ${i} `))).toBe(true);
  }
});

test("a directory without a store is said to be one, with 73", async () => {
  using made = scratch();
  const run = await kura(["inspect", "store", "--data-dir", made.folder]);
  expect(run.code).toBe(73);
  expect(complaints(run)).toEqual([expect.stringContaining("there is no store in it")]);
});

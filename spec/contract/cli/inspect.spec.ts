import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type NodeProcess, startNode } from "../../support/node-process.ts";
import { complaints, kura, scratch } from "./run.ts";

let node: NodeProcess;

beforeAll(async () => {
  node = await startNode({ env: { KURA_TENANT_ID: "acme", KURA_REGION: "eu" } });
});

afterAll(async () => {
  await node[Symbol.asyncDispose]();
});

const query = "tenant_id=acme&namespace_id=ios";

async function put(key: string, body = `body of ${key}`): Promise<void> {
  const answer = await fetch(`${node.url}/api/cache/gradle/${key}?${query}`, {
    method: "PUT",
    body,
  });
  expect(answer.status).toBe(201);
}

async function statusOf(key: string): Promise<number> {
  return (await fetch(`${node.url}/api/cache/gradle/${key}?${query}`)).status;
}

async function json(args: readonly string[]): Promise<Record<string, unknown>> {
  const run = await kura([...args, "--data-dir", node.dataDir]);
  expect({ code: run.code, stderr: run.stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(run.stdout) as Record<string, unknown>;
}

describe("inspect asks the node that runs", () => {
  test("config: its own values, whatever our environment says", async () => {
    const shown = await json(["inspect", "config"]);
    expect(shown.from).toContain("the node that runs in");
    const settings = shown.settings as { name: string; value: string; source: string }[];
    const region = settings.find(({ name }) => name === "KURA_REGION");
    expect(region).toMatchObject({ value: "eu", source: "environment" });
  });

  test("store and segments", async () => {
    await put("a1");
    const store = await json(["inspect", "store"]);
    expect(JSON.stringify(store)).toContain("apacity");
    const segments = await json(["inspect", "segments"]);
    expect(JSON.stringify(segments)).not.toBe("[]");
  });

  test("artifact: there, and not there", async () => {
    await put("b2", "x".repeat(1_234));
    const args = ["inspect", "artifact", "--producer", "gradle", "--tenant", "acme"];
    const found = await json([...args, "--namespace", "ios", "--key", "b2"]);
    expect(JSON.stringify(found)).toContain("1234");
    const missing = [...args, "--namespace", "ios", "--key", "none", "--data-dir", node.dataDir];
    const run = await kura(missing);
    expect(run.code).toBe(66);
    expect(complaints(run)).toEqual([expect.stringContaining("gradle artifact none of acme/ios")]);
  });
});

describe("clean empties one namespace", () => {
  test("through the data directory, with the node's own tenant", async () => {
    await put("c3");
    const shown = await json(["clean", "--namespace", "ios"]);
    expect(shown).toMatchObject({ cleaned: true, tenant: "acme", namespace: "ios" });
    expect(await statusOf("c3")).toBe(404);
  });

  test("through a URL, and leaves other namespaces alone", async () => {
    await put("d4");
    const other = await kura([
      "clean",
      "--tenant",
      "acme",
      "--namespace",
      "tvos",
      "--url",
      node.url,
    ]);
    expect(other.code).toBe(0);
    expect(await statusOf("d4")).toBe(200);
    const same = await kura(["clean", "--tenant", "acme", "--namespace", "ios", "--url", node.url]);
    expect(same.code).toBe(0);
    expect(await statusOf("d4")).toBe(404);
  });

  test("without a node it says where it looked, with 69", async () => {
    using made = scratch();
    const local = await kura(["clean", "--namespace", "ios", "--data-dir", made.folder]);
    expect(local.code).toBe(69);
    expect(complaints(local)).toEqual([expect.stringContaining(made.folder)]);
    const remote = await kura(["clean", "--namespace", "ios", "--url", "http://127.0.0.1:1"]);
    expect(remote.code).toBe(69);
    expect(complaints(remote)).toEqual([expect.stringContaining("http://127.0.0.1:1")]);
  });
});

describe("inspect config without a node", () => {
  test("shows what this environment gives, with the formula of what is derived", async () => {
    using made = scratch();
    const run = await kura(["inspect", "config", "--data-dir", made.folder], {
      env: { KURA_REGION: "us" },
    });
    const shown = JSON.parse(run.stdout);
    expect([run.code, shown.from]).toEqual([0, "this environment"]);
    const find = (name: string) =>
      shown.settings.find((one: { name: string }) => one.name === name);
    expect(find("KURA_REGION")).toMatchObject({ value: "us", source: "environment" });
    expect(find("KURA_DATA_DIR")).toMatchObject({ value: made.folder, source: "flag" });
    expect(find("KURA_BODY_CACHE_MAX_BYTES").formula).toContain("/ 16");
  });

  test("shows problems and warnings and ends with 78 when no node could start", async () => {
    using made = scratch();
    const env = { KURA_PORT: "x", KURA_PROT: "1" };
    const run = await kura(["inspect", "config", "--data-dir", made.folder], { env });
    const shown = JSON.parse(run.stdout);
    expect(run.code).toBe(78);
    expect(shown.problems).toEqual([expect.stringContaining("KURA_PORT")]);
    expect(shown.warnings).toEqual([expect.stringContaining("did you mean KURA_PORT?")]);
  });
});

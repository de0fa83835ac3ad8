import { expect, test } from "bun:test";
import { accepts, type NodeProcess, startNode, until } from "../../support/node-process.ts";
import { connectRaw, uploadHead } from "./raw-client.ts";

const artifact = (key: string): string =>
  `/api/cache/gradle/${key}?tenant_id=default&namespace_id=drain`;
const MiB = 1_048_576;

async function isDraining(node: NodeProcess): Promise<boolean> {
  const ready = await fetch(`${node.url}/ready`);
  return ready.status === 503 && ((await ready.json()) as { draining: boolean }).draining;
}

/** An upload of which only the first half has been sent. */
async function beginUpload(node: NodeProcess, key: string, body: Uint8Array) {
  const client = await connectRaw(node.port);
  client.send(uploadHead(artifact(key), body.length));
  client.send(body.subarray(0, body.length / 2));
  await until("the upload is in flight", async () => {
    const ready = (await (await fetch(`${node.url}/ready`)).json()) as {
      http_inflight_requests: number;
    };
    return ready.http_inflight_requests > 0;
  });
  return client;
}

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s ends an idle node with 0 and frees its port",
  async (name) => {
    await using node = await startNode();
    process.kill(node.pid, name);
    expect(await node.exited).toBe(0);
    expect(await accepts(node.port)).toBe(false);
    expect(node.stderr()).toContain('"message":"ended"');
  },
);

test.each([
  ["a small one", 8_192],
  ["one in a file of its own", 3 * MiB],
])(
  "an upload in flight ends well during a drain and is there after a restart: %s",
  async (_, size) => {
    await using node = await startNode();
    const body = crypto.getRandomValues(new Uint8Array(Math.min(size, 65_536)));
    const whole = Buffer.concat(Array.from({ length: size / body.length }, () => body));
    using upload = await beginUpload(node, "slow", whole);

    process.kill(node.pid, "SIGTERM");
    await until("the node drains", () => isDraining(node));
    upload.send(whole.subarray(whole.length / 2));
    expect(await node.exited).toBe(0);
    expect(upload.received().toString()).toStartWith("HTTP/1.1 201");

    await using next = await node.restart();
    const answer = await fetch(`${next.url}${artifact("slow")}`);
    expect(Buffer.from(await answer.arrayBuffer()).equals(whole)).toBe(true);
  },
);

test("while draining probes answer and new cache requests are refused with a closed connection", async () => {
  await using node = await startNode();
  using upload = await beginUpload(node, "held", new Uint8Array(8_192));
  process.kill(node.pid, "SIGTERM");
  await until("the node drains", () => isDraining(node));

  expect((await fetch(`${node.url}/up`)).status).toBe(200);
  expect((await fetch(`${node.url}/metrics`)).status).toBe(200);
  const ready = await fetch(`${node.url}/ready`);
  expect(await ready.json()).toMatchObject({
    state: "draining",
    ready: false,
    reasons: ["draining"],
  });
  for (const method of ["GET", "PUT"]) {
    const refused = await fetch(`${node.url}${artifact("new")}`, { method });
    expect([refused.status, refused.headers.get("connection")]).toEqual([503, "close"]);
  }
  // Nx fails a build on 503: it hears "miss" and "read-only".
  const miss = await fetch(`${node.url}/v1/cache/123`);
  const readOnly = await fetch(`${node.url}/v1/cache/123`, { method: "PUT", body: "x" });
  expect([miss.status, readOnly.status]).toEqual([404, 403]);
  expect(miss.headers.get("content-type")).toContain("text/plain");

  upload.send(new Uint8Array(4_096));
  expect(await node.exited).toBe(0);
});

test("a slow download in flight ends whole during a drain", async () => {
  await using node = await startNode();
  const body = Buffer.alloc(32 * MiB, "kura");
  const stored = await fetch(`${node.url}${artifact("big")}`, { method: "PUT", body });
  expect(stored.status).toBe(201);
  using download = await connectRaw(node.port);
  download.send(`GET ${artifact("big")} HTTP/1.1\r\nHost: kura\r\n\r\n`);
  await until("the download has begun", () => download.received().length > 0);
  download.pause();
  process.kill(node.pid, "SIGTERM");
  await until("the node drains", () => isDraining(node));
  download.resume();
  expect(await node.exited).toBe(0);
  const received = download.received();
  expect(received.subarray(received.indexOf("\r\n\r\n") + 4).equals(body)).toBe(true);
});

test("SIGUSR1 drains and stays for probes, SIGTERM then ends it", async () => {
  await using node = await startNode();
  process.kill(node.pid, "SIGUSR1");
  await until("the node drains", () => isDraining(node));
  await until("the drain has ended", () => node.stderr().includes('"message":"drained"'));
  expect((await fetch(`${node.url}/up`)).status).toBe(200);
  expect((await fetch(`${node.url}${artifact("a")}`)).status).toBe(503);
  process.kill(node.pid, "SIGUSR1");
  expect((await fetch(`${node.url}/up`)).status).toBe(200);
  expect(await node.stop()).toBe(0);
});

test("a second SIGTERM ends the node at once, and nothing that was acknowledged is lost", async () => {
  await using node = await startNode();
  expect(
    (await fetch(`${node.url}${artifact("kept")}`, { method: "PUT", body: "kept" })).status,
  ).toBe(201);
  using upload = await beginUpload(node, "cut", new Uint8Array(8_192));
  process.kill(node.pid, "SIGTERM");
  await until("the node drains", () => isDraining(node));
  process.kill(node.pid, "SIGTERM");
  expect(await node.exited).toBe(143);
  await upload.closed;
  expect(upload.received().length).toBe(0);
  await using next = await node.restart();
  expect(await (await fetch(`${next.url}${artifact("kept")}`)).text()).toBe("kept");
  expect((await fetch(`${next.url}${artifact("cut")}`)).status).toBe(404);
});

test("the deadline of the drain cuts what does not end, and the node still ends with 0", async () => {
  await using node = await startNode({ env: { KURA_DRAIN_COMPLETION_TIMEOUT_MS: "200" } });
  using upload = await beginUpload(node, "stuck", new Uint8Array(8_192));
  expect(await node.stop()).toBe(0);
  await upload.closed;
  expect(upload.received().toString()).not.toContain("201");
  expect(node.stderr()).toContain("drain deadline passed");
});

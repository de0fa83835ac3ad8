import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, head } from "../../support/raw-http.ts";
import { type SpecServer, startServer } from "../../support/server.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer({ env: { KURA_TENANT_ID: "acme", KURA_REGION: "eu-west" } });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const json = async (path: string): Promise<Record<string, unknown>> =>
  (await (await fetch(`${server.url}${path}`)).json()) as Record<string, unknown>;

test("/up has the fields of the seed", async () => {
  expect(await json("/up")).toMatchObject({
    status: "ok",
    tenant_id: "acme",
    region: "eu-west",
    node: "eu-west",
    node_url: server.config.nodeUrl,
    connected_nodes: 0,
    ring_members: 1,
    members: [server.config.nodeUrl],
    nodes: [server.config.nodeUrl],
    generation: 1,
  });
  expect(await (await fetch(`${server.url}/up`)).text()).toContain('"ring_members":1');
});

test("probes answer whatever the query says", async () => {
  for (const path of ["/up", "/ready", "/status/rollout", "/status/cluster", "/metrics"]) {
    const got = await fetch(`${server.url}${path}?tenant_id=a&tenant_id=b&%zz`);
    expect([path, got.status]).toEqual([path, 200]);
    const headed = await fetch(`${server.url}${path}`, { method: "HEAD" });
    expect([path, headed.status, await headed.text()]).toEqual([path, 200, ""]);
    const wrong = await fetch(`${server.url}${path}`, { method: "POST" });
    expect([path, wrong.status, wrong.headers.get("allow")]).toEqual([path, 405, "GET, HEAD"]);
  }
});

test("/ready tells the state and what is in flight", async () => {
  expect(await json("/ready")).toEqual({
    status: "ok",
    generation: 1,
    state: "serving",
    ready: true,
    draining: false,
    writer_lock_owned: true,
    initial_discovery_completed: true,
    known_peers: 0,
    bootstrapped_peers: 0,
    bootstrap_inflight_peers: 0,
    http_inflight_requests: 0,
    grpc_inflight_requests: 0,
    recovery: null,
    reasons: [],
    reason_codes: [],
    degraded: [],
  });
  await using connection = await connect(server.port);
  await connection.send(head("PUT /api/cache/gradle/x?tenant_id=t", "Content-Length: 10"));
  await connection.send("half");
  for (let tries = 0; tries < 1_000; tries++) {
    if ((await json("/ready")).http_inflight_requests === 1) return;
  }
  throw new Error("The upload was never in flight");
});

test("/status/rollout and /status/cluster have the fields of the reference", async () => {
  const rollout = await json("/status/rollout");
  for (const name of [
    "generation",
    "ready",
    "state",
    "ring_members",
    "ring_fingerprint",
    "initial_discovery_completed",
    "writer_lock_owned",
    "http_inflight_requests",
    "grpc_inflight_requests",
    "outbox_messages",
    "outbox_capacity",
    "memory_pressure_state",
    "fd_timeout_count",
    "peer_connection_failure_count",
    "backfill_initial_cycle",
  ]) {
    expect(Object.keys(rollout)).toContain(name);
  }
  expect(await json("/status/cluster")).toEqual({
    status: "ok",
    generation: 1,
    tenant_id: "acme",
    region: "eu-west",
    node: "eu-west",
    node_url: server.config.nodeUrl,
    connected_nodes: 0,
    ring_members: 1,
    members: [server.config.nodeUrl],
    regions: ["eu-west"],
    nodes: [server.config.nodeUrl],
  });
});

test("every answer names its request and the region", async () => {
  const id = "Build-42_a.b";
  const targets = [
    "/up",
    "/nothing",
    "/v1/cache/1",
    "/api/cache/cas/x",
    "/api/cache/cas/x?tenant_id=a",
  ];
  for (const target of targets) {
    const kept = await fetch(`${server.url}${target}`, { headers: { "x-request-id": id } });
    expect([target, kept.headers.get("x-request-id")]).toEqual([target, id]);
    expect(kept.headers.get("x-kura-region")).toBe("eu-west");
  }
  const seen = new Set<string | null>();
  for (let i = 0; i < 50; i++) {
    seen.add((await fetch(`${server.url}/v1/cache/1`)).headers.get("x-request-id"));
  }
  expect(seen.size).toBe(50);
});

test.each(["a b", "a/b", "ä", "a\tb", "x".repeat(129), "<script>", "a,b", "a;b", ""])(
  "a request id that is not well-formed (%s) is replaced",
  async (id) => {
    await using connection = await connect(server.port);
    await connection.send(head("GET /v1/cache/1", `X-Request-Id: ${id}`));
    const answer = await connection.answer();
    expect(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f]{12}-[0-9a-z]+$/);
  },
);

test("peer routes and routes that do not exist are 404 with a JSON body", async () => {
  for (const path of [
    "/",
    "/_internal/status",
    "/_internal/bootstrap/manifests",
    "/api",
    "/api/cache",
    "/api/cache/cas",
    "/api/cache/nothing/x",
    "/api/cache/modules/start",
    "/v1/artifact",
    "/v1/config",
    "/up/",
    "/status",
    "/API/CACHE/CAS/x",
  ]) {
    for (const method of ["GET", "PUT", "POST", "DELETE"]) {
      const got = await fetch(`${server.url}${path}`, { method });
      expect([path, method, got.status]).toEqual([path, method, 404]);
      expect(got.headers.get("content-type")).toBe("application/json");
      expect(typeof ((await got.json()) as { message: unknown }).message).toBe("string");
    }
  }
});

test("the admin routes answer the commands of kura", async () => {
  await fetch(`${server.url}/api/cache/gradle/known?tenant_id=acme&namespace_id=ios`, {
    method: "PUT",
    body: "12345",
  });
  const status = (await (await server.admin("GET", "/v1/status")).json()) as { tenant: string };
  expect(status.tenant).toBe("acme");
  const config = (await (await server.admin("GET", "/v1/config")).json()) as { name: string }[];
  expect(config.map(({ name }) => name)).toContain("KURA_PORT");
  const store = (await (await server.admin("GET", "/v1/store")).json()) as {
    state: { at: string };
  };
  expect(store.state.at).toBe("serving");
  expect((await server.admin("GET", "/v1/segments")).status).toBe(200);
  const query = "producer=gradle&namespace=iOS&key=known";
  const artifact = (await (await server.admin("GET", `/v1/artifact?${query}`)).json()) as object;
  expect(artifact).toMatchObject({ producer: "gradle", sizeBytes: 5, kind: "gradle" });
  expect((await server.admin("GET", "/v1/artifact?producer=gradle&key=absent")).status).toBe(404);
  expect((await server.admin("GET", "/v1/artifact?producer=nobody&key=a")).status).toBe(400);
  expect((await server.admin("GET", "/v1/artifact?producer=gradle&key=a&x=1")).status).toBe(400);
  const cleaned = await server.admin("DELETE", "/v1/namespaces?tenant=acme&namespace=ios");
  expect(cleaned.status).toBe(200);
  expect((await server.admin("GET", `/v1/artifact?${query}`)).status).toBe(404);
  expect((await server.admin("GET", "/nothing")).status).toBe(404);
});

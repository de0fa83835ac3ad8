import { expect, test } from "bun:test";
import { MiB } from "../../../runtime/base/units.ts";
import { connect, head } from "../../support/raw-http.ts";
import { eventually, type SpecServer, startServer } from "../../support/server.ts";
import { patterned } from "./dialects.ts";

const target = (id: string): string => `/api/cache/gradle/${id}?tenant_id=t`;
const put = (server: SpecServer, id: string, body: BodyInit): Promise<Response> =>
  fetch(`${server.url}${target(id)}`, { method: "PUT", body });

/** A line of the read or write counters for Gradle artifacts. */
function line(family: string, client: string, result: string): string {
  const labels = `producer="gradle",kind="gradle",artifact_class="pointer"`;
  return `kura_artifact_${family}_total{${labels},client="${client}",result="${result}"}`;
}

test("a download is booked when it was delivered in full, at any size and as a part", async () => {
  await using server = await startServer();
  let bytes = 0;
  let reads = 0;
  for (const sizeBytes of [0, 5, 300_000, 3 * MiB]) {
    await put(server, `size${sizeBytes}`, patterned(sizeBytes));
    const headers = { "user-agent": "Gradle/8.4" };
    await (await fetch(`${server.url}${target(`size${sizeBytes}`)}`, { headers })).arrayBuffer();
    bytes += sizeBytes;
    reads += 1;
    await eventually("it is booked", async () => {
      return (await server.metric(line("reads", "gradle", "ok"))) === reads;
    });
    expect(await server.metric(line("read_bytes", "gradle", "ok"))).toBe(bytes);
  }
  const headers = { "user-agent": "Gradle/8.4", range: "bytes=10-19" };
  await (await fetch(`${server.url}${target("size300000")}`, { headers })).arrayBuffer();
  await eventually("the part is booked", async () => {
    return (await server.metric(line("read_bytes", "gradle", "ok"))) === bytes + 10;
  });
});

test("a download that is cut books no bytes, and one that is read slowly is booked at its end", async () => {
  await using server = await startServer();
  await put(server, "large", patterned(64 * MiB));
  await using cut = await connect(server.port);
  cut.pause();
  await cut.send(head(`GET ${target("large")}`, "User-Agent: curl/8"));
  await eventually("it is under way", () => server.life.httpInflight === 1);
  await using slow = await connect(server.port);
  slow.pause();
  await slow.send(head(`GET ${target("large")}`, "User-Agent: Bazel"));
  await eventually("both are under way", () => server.life.httpInflight === 2);
  cut.destroy();
  await eventually("the cut one is counted", async () => {
    return (await server.metric(line("reads", "curl", "client_aborted"))) === 1;
  });
  expect(await server.metric(line("read_bytes", "curl", "client_aborted"))).toBe(0);
  expect(await server.metric(line("reads", "curl", "ok"))).toBe(0);
  expect(await server.metric(line("reads", "bazel", "ok"))).toBe(0);
  expect(server.life.httpInflight).toBe(1);
  slow.resume();
  const got = await slow.answer();
  expect(got.body.length).toBe(64 * MiB);
  await eventually("the slow one is booked", async () => {
    return (await server.metric(line("read_bytes", "bazel", "ok"))) === 64 * MiB;
  });
  expect(server.life.httpInflight).toBe(0);
});

test("HEAD books nothing, misses and bad ranges are counted without bytes", async () => {
  await using server = await startServer();
  await put(server, "here", "12345");
  const headers = { "user-agent": "curl/8" };
  await fetch(`${server.url}${target("here")}`, { method: "HEAD", headers });
  await fetch(`${server.url}${target("gone")}`, { method: "HEAD", headers });
  await fetch(`${server.url}${target("gone")}`, { headers });
  await fetch(`${server.url}${target("here")}`, { headers: { ...headers, range: "bytes=9-" } });
  expect(await server.metric(line("reads", "curl", "ok"))).toBe(0);
  expect(await server.metric(line("reads", "curl", "not_found"))).toBe(1);
  expect(await server.metric(line("reads", "curl", "range_not_satisfiable"))).toBe(1);
});

test("of several uploads of one key one is booked", async () => {
  await using server = await startServer();
  await Promise.all(Array.from({ length: 8 }, () => put(server, "one", "12345")));
  const stored = `kura_artifact_writes_total{producer="gradle",kind="gradle",artifact_class="pointer",client="other",result="ok"}`;
  expect(await server.metric(stored)).toBe(1);
  expect(await server.metric(stored.replace('"ok"', '"exists"'))).toBe(7);
  expect(await server.metric(stored.replace("writes", "write_bytes"))).toBe(5);
});

test("requests are counted by template, method and status, and no client can add a label", async () => {
  await using server = await startServer();
  for (let i = 0; i < 20; i++) {
    await fetch(`${server.url}/nothing/${i}`, { headers: { "user-agent": `tool-${i}` } });
    await fetch(`${server.url}${target(`gone${i}`)}`, { headers: { "user-agent": `tool-${i}` } });
  }
  expect(
    await server.metric('kura_http_requests_total{route="/_unmatched",method="GET",status="404"}'),
  ).toBe(20);
  const route = "/api/cache/gradle/{cache_key}";
  expect(
    await server.metric(`kura_http_requests_total{route="${route}",method="GET",status="404"}`),
  ).toBe(20);
  expect(await server.metric(`kura_http_request_duration_seconds_count{route="${route}"}`)).toBe(
    20,
  );
  expect(await server.metric(line("reads", "other", "not_found"))).toBe(20);
});

test("the exposition has each family once, with the seed's names and buckets", async () => {
  await using server = await startServer({ env: { KURA_INSECURE_NO_AUTH: "1" } });
  await put(server, "a", "1");
  const answer = await fetch(`${server.url}/metrics`);
  expect(answer.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
  const text = await answer.text();
  const families = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(
    ([, name, type]) => `${name} ${type}`,
  );
  expect(new Set(families).size).toBe(families.length);
  for (const family of [
    "kura_http_requests_total counter",
    "kura_http_request_duration_seconds histogram",
    "kura_http_exceptions_total counter",
    "kura_artifact_reads_total counter",
    "kura_artifact_writes_total counter",
    "kura_artifact_read_bytes_total counter",
    "kura_artifact_write_bytes_total counter",
    "kura_node_info gauge",
    "kura_store_used_bytes gauge",
    "kura_insecure_no_auth gauge",
  ]) {
    expect(families).toContain(family);
  }
  expect(text).not.toContain("_total_total");
  expect(text).toContain('kura_node_info{tenant_id="default",region="local",');
  expect(text).toContain("kura_insecure_no_auth 1");
  const route = "/api/cache/gradle/{cache_key}";
  const bounds = [
    ...text.matchAll(/_bucket\{route="\/api\/cache\/gradle\/\{cache_key\}",le="([^"]+)"\}/g),
  ];
  expect(bounds.map(([, bound]) => bound)).toEqual([
    ...Array.from({ length: 16 }, (_, i) => String(2 ** i / 1_000)),
    "+Inf",
  ]);
  expect(text).toContain(`kura_http_request_duration_seconds_count{route="${route}"} 1`);
});

import { expect, test } from "bun:test";
import { Metrics } from "../../../../runtime/observe/metrics.ts";
import { clientOf, clients } from "../../../../runtime/observe/metrics-client.ts";

function makeMetrics(): Metrics {
  return new Metrics({
    routes: ["/a/{id}", "/_unmatched"],
    artifacts: [
      { producer: "xcode", kind: "blob", artifact_class: "blob" },
      { producer: "nx", kind: "nx", artifact_class: "pointer" },
    ],
    node: { tenant: 'ac"me\\', region: "eu", version: "1" },
    isInsecure: false,
  });
}

test("each combination of labels has a counter of its own", async () => {
  const metrics = makeMetrics();
  metrics.request(0, "GET", 200, 1);
  metrics.request(0, "PUT", 599, 1);
  metrics.request(1, "OTHER", 100, 1);
  metrics.read(1, clients.length - 1, "error", 0);
  metrics.read(0, 0, "ok", 7);
  metrics.read(0, 0, "ok", 5);
  const lines = (await metrics.render()).split("\n");
  for (const line of [
    'kura_http_requests_total{route="/a/{id}",method="GET",status="200"} 1',
    'kura_http_requests_total{route="/a/{id}",method="PUT",status="599"} 1',
    'kura_http_requests_total{route="/_unmatched",method="OTHER",status="100"} 1',
    'kura_artifact_reads_total{producer="nx",kind="nx",artifact_class="pointer",client="none",result="error"} 1',
    'kura_artifact_reads_total{producer="xcode",kind="blob",artifact_class="blob",client="xcode",result="ok"} 2',
    'kura_artifact_read_bytes_total{producer="xcode",kind="blob",artifact_class="blob",client="xcode",result="ok"} 12',
  ]) {
    expect(lines).toContain(line);
  }
  expect(lines.filter((line) => line.startsWith("kura_http_requests_total{"))).toHaveLength(3);
});

test("a duration falls into every bucket that it does not exceed", async () => {
  const metrics = makeMetrics();
  for (const durationMs of [0, 1, 1.5, 40_000]) metrics.request(0, "GET", 200, durationMs);
  const text = await metrics.render();
  const bucket = (le: string): string =>
    `kura_http_request_duration_seconds_bucket{route="/a/{id}",le="${le}"}`;
  expect(text).toContain(`${bucket("0.001")} 2`);
  expect(text).toContain(`${bucket("0.002")} 3`);
  expect(text).toContain(`${bucket("32.768")} 3`);
  expect(text).toContain(`${bucket("+Inf")} 4`);
  expect(text).toContain('kura_http_request_duration_seconds_sum{route="/a/{id}"} 40.0025');
  expect(text).toContain('kura_http_request_duration_seconds_count{route="/a/{id}"} 4');
});

test("label values are escaped, and a figure that is not known has no line", async () => {
  const metrics = makeMetrics();
  metrics.gauge("kura_known", "Known.", () => 3);
  metrics.gauge("kura_unknown", "Not known.", () => null);
  const text = await metrics.render();
  expect(text).toContain('kura_node_info{tenant_id="ac\\"me\\\\",region="eu",version="1"} 1');
  expect(text).toContain("\nkura_known 3");
  expect(text).not.toMatch(/^kura_unknown /m);
});

test("a user agent is one of a closed set of clients", () => {
  const names = (agent: string | null): string => clients[clientOf(agent)] ?? "";
  expect(names(null)).toBe("none");
  expect(names("")).toBe("none");
  expect(names("Gradle/8.4 (Linux;6.1;amd64)")).toBe("gradle");
  expect(names("TuistCacheEE/1.0 CFNetwork/1400")).toBe("tuist");
  expect(names("curl/8.5.0")).toBe("curl");
  expect(names("bazel/7.1.0")).toBe("bazel");
  for (let i = 0; i < 1_000; i++) expect(names(`agent ${i}`)).toBe("other");
});

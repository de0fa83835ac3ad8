import { describe, expect, test } from "bun:test";
import http2 from "node:http2";
import { MiB } from "../../../runtime/base/units.ts";
import { grpcCodes } from "../../../runtime/wire/grpc/status.ts";
import { type NodeProcess, startNode, until } from "../../support/node-process.ts";
import { digestOf, ReapiClient } from "../../support/reapi-client.ts";
import { decodeProto, encodeProto } from "../../support/reapi-protos.ts";

const health = "/grpc.health.v1.Health";
const reapi = "build.bazel.remote.execution.v2";

async function check(client: ReapiClient, service: string): Promise<number | string> {
  const request = encodeProto("grpc.health.v1.HealthCheckRequest", { service });
  const { code, value } = await client.unary(`${health}/Check`, request);
  if (code !== 0 || value === null) return `code ${code}`;
  return decodeProto<{ status: number }>("grpc.health.v1.HealthCheckResponse", value).status;
}

describe.each(["kura", "grpc-js"])("%s", (engine) => {
  const start = (): Promise<NodeProcess> => startNode({ env: { KURA_GRPC_ENGINE: engine } });
  const connect = (node: NodeProcess): ReapiClient => new ReapiClient(`127.0.0.1:${node.grpcPort}`);

  test("tells the health of the node and of each service", async () => {
    await using node = await start();
    using client = connect(node);
    expect(await check(client, "")).toBe(1);
    expect(await check(client, "google.bytestream.ByteStream")).toBe(1);
    expect(await check(client, `${reapi}.ActionCache`)).toBe(1);
    expect(await check(client, "some.Service")).toBe(`code ${grpcCodes.notFound}`);
  });

  test("in a drain refuses calls with a time to come again, tells it, and ends what has begun", async () => {
    await using node = await start();
    using client = connect(node);
    const data = Buffer.alloc(1_000, "kura");
    const { hash } = digestOf(data);
    const resourceName = `uploads/u/blobs/${hash}/1000`;
    const write = client.openWrite();
    write.send({ resourceName, data: data.subarray(0, 500) });
    await until("the upload is in flight", async () => {
      return (await client.writeStatus(resourceName)).value.size === 500;
    });
    process.kill(node.pid, "SIGTERM");
    await until("the node drains", async () => (await check(client, "")) === 2);
    const refused = await client.call("ContentAddressableStorage/FindMissingBlobs", {});
    expect(refused.code).toBe(grpcCodes.unavailable);
    expect(refused.retryAfterSeconds).toBeGreaterThan(0);
    write.send({ writeOffset: 500, data: data.subarray(500), finishWrite: true });
    write.finish();
    expect(await write.ended).toMatchObject({ code: 0, value: 1_000 });
    expect(await node.exited).toBe(0);
  });

  test("that is full says so, and when to come again", async () => {
    const env = { KURA_GRPC_ENGINE: engine, KURA_CAS_CAPACITY_BYTES: "64MiB" };
    await using node = await startNode({ env });
    using client = connect(node);
    // Room is made for whatever can ever fit.
    const data = Buffer.alloc(60 * MiB);
    const ended = await client.write(`uploads/u/blobs/${digestOf(data).hash}/${data.length}`, data);
    expect(ended.code).toBe(grpcCodes.resourceExhausted);
    expect(ended.words).toContain("KURA_CAS_CAPACITY_BYTES");
    expect(ended.retryAfterSeconds).toBeGreaterThan(0);
  });

  test("counts calls by method and status", async () => {
    await using node = await start();
    using client = connect(node);
    await client.call("ContentAddressableStorage/FindMissingBlobs", {});
    const { hash } = digestOf(Buffer.from("x"));
    await client.call("ActionCache/GetActionResult", { actionDigest: { hash, sizeBytes: 1 } });
    const metrics = await (await fetch(`${node.url}/metrics`)).text();
    const line = (method: string, code: string): string =>
      `kura_grpc_requests_total{method="${reapi}.${method}",code="${code}"} 1`;
    expect(metrics).toContain(line("ContentAddressableStorage/FindMissingBlobs", "OK"));
    expect(metrics).toContain(line("ActionCache/GetActionResult", "NOT_FOUND"));
  });
});

test("GET /up over HTTP/2 says what it says over HTTP/1.1", async () => {
  await using node = await startNode();
  const session = http2.connect(`http://127.0.0.1:${node.grpcPort}`);
  try {
    const request = session.request({ ":path": "/up" });
    const chunks: Buffer[] = [];
    let status = 0;
    request.on("response", (headers) => {
      status = Number(headers[":status"]);
    });
    for await (const chunk of request) chunks.push(chunk as Buffer);
    expect(status).toBe(200);
    const plain = await (await fetch(`${node.url}/up`)).json();
    expect(JSON.parse(Buffer.concat(chunks).toString())).toEqual(plain);
  } finally {
    session.destroy();
  }
});

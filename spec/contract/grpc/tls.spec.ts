import { describe, expect, test } from "bun:test";
import tls from "node:tls";
import grpc from "@grpc/grpc-js";
import { type Authority, makeAuthority } from "../../support/certificates.ts";
import { type NodeProcess, startNode, until } from "../../support/node-process.ts";
import { makePairFolder, type PairFolder } from "../../support/pair-folder.ts";
import { digestOf, ReapiClient } from "../../support/reapi-client.ts";

type GrpcTlsNode = AsyncDisposable & {
  readonly node: NodeProcess;
  readonly authority: Authority;
  readonly pair: PairFolder;
  connect(): ReapiClient;
  shown(): Promise<{ name: string; protocol: string | false | null }>;
};

async function startTls(engine: string): Promise<GrpcTlsNode> {
  const authority = await makeAuthority();
  const pair = makePairFolder();
  pair.put(await authority.issue({ name: "first" }));
  const { KURA_PUBLIC_TLS_CERT_PATH: certPath = "", KURA_PUBLIC_TLS_KEY_PATH: keyPath = "" } =
    pair.env;
  const env = {
    KURA_GRPC_ENGINE: engine,
    KURA_GRPC_TLS_CERT_PATH: certPath,
    KURA_GRPC_TLS_KEY_PATH: keyPath,
  };
  const node = await startNode({ env });
  const credentials = grpc.credentials.createSsl(Buffer.from(authority.cert));
  return {
    node,
    authority,
    pair,
    connect: () => new ReapiClient(`localhost:${node.grpcPort}`, {}, credentials),
    shown: () =>
      new Promise((resolve, reject) => {
        const socket = tls.connect(
          {
            host: "127.0.0.1",
            servername: "localhost",
            port: node.grpcPort,
            ca: authority.cert,
            ALPNProtocols: ["h2"],
          },
          () => {
            const name = String(socket.getPeerCertificate().subject.CN);
            resolve({ name, protocol: socket.alpnProtocol });
            socket.destroy();
          },
        );
        socket.on("error", reject);
      }),
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      pair[Symbol.dispose]();
    },
  };
}

describe.each(["kura", "grpc-js"])("%s", (engine) => {
  test("serves calls over TLS with the protocol h2, and nobody in the clear", async () => {
    await using served = await startTls(engine);
    expect(served.node.stdout()).toContain(`grpcs://127.0.0.1:${served.node.grpcPort}`);
    expect(await served.shown()).toEqual({ name: "first", protocol: "h2" });
    using client = served.connect();
    const asked = { instanceName: "a/b" };
    expect((await client.call("Capabilities/GetCapabilities", asked)).code).toBe(0);
    const data = crypto.getRandomValues(new Uint8Array(60_000));
    const long = Buffer.concat(Array.from({ length: 70 }, () => data));
    for (const blob of [data, long]) {
      const { hash } = digestOf(blob);
      const written = await client.write(`a/b/uploads/u/blobs/${hash}/${blob.length}`, blob);
      expect(written).toMatchObject({ code: 0, value: blob.length });
      const read = await client.read(`a/b/blobs/${hash}/${blob.length}`);
      expect(Buffer.compare(read.value, blob)).toBe(0);
    }
    using plain = new ReapiClient(`127.0.0.1:${served.node.grpcPort}`);
    expect((await plain.call("Capabilities/GetCapabilities", asked)).code).not.toBe(0);
  });
});

test("a changed certificate is shown to new clients, and the old ones keep their connection", async () => {
  await using served = await startTls("kura");
  using client = served.connect();
  const asked = { instanceName: "" };
  expect((await client.call("Capabilities/GetCapabilities", asked)).code).toBe(0);
  served.pair.put(await served.authority.issue({ name: "second" }));
  process.kill(served.node.pid, "SIGHUP");
  await until("the new certificate", async () => (await served.shown()).name === "second");
  for (let i = 0; i < 20; i++) {
    expect((await client.call("Capabilities/GetCapabilities", asked)).code).toBe(0);
  }
  const metrics = await (await fetch(`${served.node.url}/metrics`)).text();
  expect(metrics).toContain('kura_grpc_tls_reloads_total{result="ok"} 1');
});

test("a certificate without its key ends the start with a clear message", async () => {
  using pair = makePairFolder();
  const { KURA_PUBLIC_TLS_CERT_PATH: certPath = "" } = pair.env;
  const started = startNode({ env: { KURA_GRPC_TLS_CERT_PATH: certPath } });
  await expect(started).rejects.toThrow("KURA_GRPC_TLS_KEY_PATH: missing");
});

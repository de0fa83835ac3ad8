// heavy
import { afterAll, beforeAll, expect, test } from "bun:test";
import net from "node:net";
import { KiB, MiB, minute, second } from "../../runtime/base/units.ts";
import { descriptorsBack, descriptorsOf } from "../support/descriptor-count.ts";
import { callsInFlight, H2Client } from "../support/h2-client.ts";
import {
  callFields,
  grpcMessage,
  h2Data,
  h2Headers,
  h2Hello,
  h2Window,
} from "../support/h2-frames.ts";
import { makeContent } from "../support/load-surface.ts";
import { type NodeProcess, startNode, until } from "../support/node-process.ts";
import { connect, head } from "../support/raw-http.ts";
import { digestOf, ReapiClient } from "../support/reapi-client.ts";
import { encodeProto } from "../support/reapi-protos.ts";

const write = "/google.bytestream.ByteStream/Write";
const findMissing = "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs";
/** Ten seconds of grace, a look each second, and a busy machine. */
const cutMsMax = 20 * second;

let node: NodeProcess;

beforeAll(async () => {
  node = await startNode({ env: { KURA_HTTP_IDLE_TIMEOUT_MS: "3000" } });
});

afterAll(async () => {
  await node[Symbol.asyncDispose]();
});

/** The status of a call that was answered by trailers alone; null while it is open. */
function hasEnded(client: H2Client, streamId: number): boolean {
  return client.frames.some((frame) => frame.streamId === streamId && (frame.flags & 1) !== 0);
}

/** A stream on which a byte comes each half second, behind what begins a message of 1 MiB. */
async function dripOn(client: H2Client, streamId: number, path: string): Promise<() => void> {
  await client.send(h2Headers(streamId, callFields(path)));
  const blob = new Uint8Array(makeContent(`drip${streamId}`, MiB));
  const { hash, sizeBytes } = digestOf(blob);
  const resourceName = `uploads/${crypto.randomUUID()}/blobs/${hash}/${sizeBytes}`;
  const first = { resourceName, data: blob.subarray(0, 64 * KiB), finishWrite: false };
  const whole = grpcMessage(encodeProto("google.bytestream.WriteRequest", first));
  if (path === write) await client.send(Buffer.concat(pieces(streamId, whole)));
  await client.send(h2Data(streamId, grpcMessage(blob).subarray(0, 6)));
  const timer = setInterval(() => {
    if (!client.isClosed && !hasEnded(client, streamId)) {
      void client.send(h2Data(streamId, Buffer.alloc(1)));
    }
  }, second / 2);
  return () => clearInterval(timer);
}

function pieces(streamId: number, bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 16 * KiB) {
    frames.push(h2Data(streamId, bytes.subarray(at, at + 16 * KiB)));
  }
  return frames;
}

/** Whole uploads and reads beside the slow ones; the longest that one took. */
async function goOn(untilDone: () => boolean): Promise<number> {
  using good = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
  let mostMs = 0;
  for (let i = 0; !untilDone(); i++) {
    const startMs = performance.now();
    const blob = new Uint8Array(makeContent(`good${i}`, i % 2 === 0 ? 10 * KiB : 2 * MiB));
    const { hash, sizeBytes } = digestOf(blob);
    const resourceName = `uploads/${crypto.randomUUID()}/blobs/${hash}/${sizeBytes}`;
    const written = await good.writeMessages([{ resourceName, data: blob, finishWrite: true }]);
    expect(written.code).toBe(0);
    expect((await good.read(`blobs/${hash}/${sizeBytes}`)).value.length).toBe(sizeBytes);
    mostMs = Math.max(mostMs, performance.now() - startMs);
    await Bun.sleep(20);
  }
  return mostMs;
}

test.each([
  ["uploads", write],
  ["messages of other calls", findMissing],
])(
  "over gRPC (%s) that drip are ended soon, and others do not notice",
  async (_, path) => {
    const before = descriptorsOf(node.pid);
    const clients = await Promise.all(
      Array.from({ length: 10 }, () => H2Client.connect(node.grpcPort)),
    );
    const stops: (() => void)[] = [];
    const ids = Array.from({ length: 20 }, (__, i) => 1 + 2 * i);
    for (const client of clients) {
      for (const id of ids) stops.push(await dripOn(client, id, path));
    }
    const startMs = performance.now();
    const allEnded = (): boolean =>
      clients.every((client) => ids.every((id) => hasEnded(client, id)));
    let isOver = false;
    const good = goOn(() => isOver);
    try {
      await until("all of them to be ended", allEnded, cutMsMax);
    } finally {
      isOver = true;
      for (const stop of stops) stop();
    }
    const passedMs = Math.round(performance.now() - startMs);
    const mostMs = Math.round(await good);
    console.log(`200 ended after ${passedMs} ms; the longest of a good client took ${mostMs} ms`);
    expect(passedMs).toBeGreaterThan(8 * second);
    await until("no call in flight", async () => (await callsInFlight(node.url)) === 0);
    for (const client of clients) client[Symbol.dispose]();
    await descriptorsBack(node.pid, before, 20 * second);
  },
  minute,
);

test(
  "an upload that comes evenly at 20 KiB a second is whole in the end",
  async () => {
    using client = await H2Client.connect(node.grpcPort);
    const blob = new Uint8Array(makeContent("even", 500 * KiB));
    const { hash, sizeBytes } = digestOf(blob);
    const resourceName = `uploads/${crypto.randomUUID()}/blobs/${hash}/${sizeBytes}`;
    const message = { resourceName, data: blob, finishWrite: true };
    const bytes = grpcMessage(encodeProto("google.bytestream.WriteRequest", message));
    await client.send(h2Headers(1, callFields(write)));
    for (let at = 0; at < bytes.length; at += 10 * KiB) {
      const piece = bytes.subarray(at, at + 10 * KiB);
      await client.send(h2Data(1, piece, { isEnd: at + 10 * KiB >= bytes.length }));
      await Bun.sleep(second / 2);
    }
    await client.ended(1);
    using good = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
    expect((await good.read(`blobs/${hash}/${sizeBytes}`)).value.length).toBe(sizeBytes);
  },
  minute,
);

test.each([
  ["HTTP/1.1", () => node.port, "GET /up HTTP/1.1\r\nHost: a\r\nX-"],
  ["HTTP/2, in its preface", () => node.grpcPort, "PRI * HTTP/2.0\r\n"],
  [
    "HTTP/2, in a frame",
    () => node.grpcPort,
    Buffer.concat([h2Hello(), h2Headers(1, callFields(write)).subarray(0, 20)]),
  ],
  [
    "HTTP/2, in the head of a frame",
    () => node.grpcPort,
    Buffer.concat([h2Hello(), h2Window(0, 1).subarray(0, 4)]),
  ],
])(
  "a head that drips is ended within 15 s: %s",
  async (_, port, words) => {
    const startMs = performance.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    const socket = net.connect(port(), "127.0.0.1", () => socket.write(words));
    socket.on("error", () => {});
    socket.on("data", () => {});
    socket.on("close", () => resolve());
    // One more byte of a header each second: it must not begin anew with each of them.
    const drip = setInterval(() => socket.write("a"), second);
    await promise;
    clearInterval(drip);
    const passedMs = performance.now() - startMs;
    expect(passedMs).toBeLessThan(17 * second);
  },
  minute,
);

test(
  "2,000 idle connections and 200 half-closed ones hurt nobody, and are gone soon",
  async () => {
    const before = descriptorsOf(node.pid);
    const idle = await Promise.all(Array.from({ length: 2_000 }, () => connect(node.port)));
    for (const connection of idle.slice(0, 200)) connection.endWriting();
    for (let i = 0; i < 50; i++) {
      const put = await fetch(`${node.url}/api/cache/gradle/idle${i}?tenant_id=t`, {
        method: "PUT",
        body: "x".repeat(2_000),
      });
      expect(put.status).toBe(201);
    }
    await Promise.all(idle.map((connection) => connection.closed(20 * second)));
    for (const connection of idle) connection.destroy();
    await descriptorsBack(node.pid, before, 20 * second);
  },
  minute,
);

test(
  "a body over HTTP that drips is ended, and one that waits for its answer is not",
  async () => {
    await using slow = await connect(node.port);
    await slow.send(head("PUT /v1/cache/drip", `Content-Length: ${MiB}`));
    const drip = setInterval(() => void slow.send("x"), second);
    const rest = (await slow.closed(cutMsMax)).toString("latin1");
    clearInterval(drip);
    // Nx fails a build on any other refusal of an upload.
    expect(rest).toStartWith("HTTP/1.1 403");
  },
  minute,
);

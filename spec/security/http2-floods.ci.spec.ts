import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { MiB, minute, second } from "../../runtime/base/units.ts";
import { encodeHeaders } from "../../runtime/wire/http2/hpack-encoder.ts";
import { callsInFlight, H2Client } from "../support/h2-client.ts";
import {
  callFields,
  h2Call,
  h2Codes,
  h2Data,
  h2Flags,
  h2Frame,
  h2Headers,
  h2Reset,
  h2Settings,
  h2Types,
  h2Window,
} from "../support/h2-frames.ts";
import { watchMemory } from "../support/memory-watch.ts";
import { type NodeProcess, startNode, until } from "../support/node-process.ts";
import { ReapiClient } from "../support/reapi-client.ts";

const write = "/google.bytestream.ByteStream/Write";
const capabilities = "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities";
const nothing = Buffer.alloc(0);
/** @source trust.md, test 19. */
const growthBytesMax = 64 * MiB;
const cutMsMax = 5 * second;
const batchFrames = 500;

let node: NodeProcess;

beforeAll(async () => {
  node = await startNode({ env: { KURA_GRPC_ENGINE: "kura" } });
});

afterAll(async () => {
  await node[Symbol.asyncDispose]();
});

type Flood = {
  readonly name: string;
  /** Streams begin with 3: the first one is open. */
  readonly frame: (i: number) => Buffer;
  /** The connection is cut when as many frames have come. */
  readonly framesMax: number;
};

const id = (i: number): number => 3 + 2 * i;
const openCall = (i: number): Buffer => h2Headers(id(i), callFields(write));

const floods: readonly Flood[] = [
  {
    name: "calls that are taken back at once",
    frame: (i) => Buffer.concat([openCall(i), h2Reset(id(i))]),
    framesMax: 3_000,
  },
  {
    name: "calls that we break off for a window that grows by nothing",
    frame: (i) => Buffer.concat([openCall(i), h2Window(id(i), 0)]),
    framesMax: 3_000,
  },
  {
    name: "calls that we break off for a window that overflows",
    frame: (i) => Buffer.concat([openCall(i), h2Window(id(i), 2 ** 31 - 1)]),
    framesMax: 3_000,
  },
  {
    name: "calls that we refuse and the client takes back",
    frame: (i) => Buffer.concat([h2Headers(id(i), [["x", "y"]]), h2Reset(id(i))]),
    framesMax: 3_000,
  },
  { name: "streams beyond what may be open", frame: openCall, framesMax: 4_000 },
  { name: "PING", frame: () => h2Frame(h2Types.ping, 0, 0, Buffer.alloc(8)), framesMax: 2_000 },
  { name: "SETTINGS", frame: () => h2Settings({ 4: 65_535 }), framesMax: 2_000 },
  { name: "DATA without bytes", frame: () => h2Data(1, nothing), framesMax: 2_000 },
  {
    name: "DATA that is nothing but padding",
    frame: () => h2Frame(h2Types.data, h2Flags.padded, 1, Buffer.from([3, 0, 0, 0])),
    framesMax: 2_000,
  },
  { name: "WINDOW_UPDATE by one byte", frame: () => h2Window(0, 1), framesMax: 12_000 },
  {
    name: "PRIORITY",
    frame: () => h2Frame(h2Types.priority, 0, 1, Buffer.alloc(5)),
    framesMax: 7_000,
  },
  { name: "frames that nobody knows", frame: () => h2Frame(99, 0, 0), framesMax: 55_000 },
  {
    name: "a header block without an end",
    frame: (i) =>
      i === 0
        ? h2Frame(h2Types.headers, 0, 3, encodeHeaders([[":method", "POST"]]))
        : h2Frame(h2Types.continuation, 0, 3, encodeHeaders([["x-name", "v".repeat(1_000)]])),
    framesMax: 1_000,
  },
  {
    name: "a header block of empty pieces",
    frame: (i) => h2Frame(i === 0 ? h2Types.headers : h2Types.continuation, 0, 3),
    framesMax: 1_000,
  },
];

/** Sends until the server closes, and no more frames than the flood may have. */
async function flood(client: H2Client, { frame, framesMax }: Flood): Promise<void> {
  let sent = 0;
  while (!client.isClosed && sent < framesMax) {
    const batch: Buffer[] = [];
    for (let i = 0; i < batchFrames; i++) batch.push(frame(sent++));
    await client.send(Buffer.concat(batch));
    // The loop turns, so that we see a server that closes.
    await new Promise((resolve) => setImmediate(resolve));
    if (client.goawayCode !== null) break;
  }
}

describe("a flood is cut, costs no memory, and others are served, when it is of", () => {
  test.each(floods.map((each) => [each.name, each] as const))(
    "%s",
    async (_, each) => {
      using good = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
      using client = await H2Client.connect(node.grpcPort);
      await client.send(h2Headers(1, callFields(write)));
      await using memory = watchMemory(node.pid);
      const cutsBefore = await cutsOf(node.url);

      const startMs = performance.now();
      const flooding = flood(client, each);
      const served = await good.call("Capabilities/GetCapabilities", { instanceName: "" });
      await flooding;
      const code = await client.closed(cutMsMax);
      expect(performance.now() - startMs).toBeLessThan(cutMsMax);
      expect(code).toBe(h2Codes.enhanceYourCalm);
      expect(served.code).toBe(0);
      expect(memory.maxBytes() - memory.beforeBytes).toBeLessThan(growthBytesMax);
      await until("all calls to be over", async () => (await callsInFlight(node.url)) === 0);
      const cuts = await cutsOf(node.url);
      if (cuts !== null) expect(cuts).toBe((cutsBefore ?? 0) + 1);
    },
    minute,
  );
});

/** Connections that were cut for what their clients did; null when the node does not count them. */
async function cutsOf(url: string): Promise<number | null> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text
    .split("\n")
    .filter((line) => line.startsWith("kura_grpc_connections_cut_total"));
  if (lines.length === 0) return null;
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

test("headers that are too long cost the call, and the connection goes on", async () => {
  using client = await H2Client.connect(node.grpcPort);
  const long = "v".repeat(15_000);
  const block = encodeHeaders(
    callFields(capabilities, [
      ["x-a", long],
      ["x-b", long],
      ["x-c", long],
    ]),
  );
  const at = 16_000;
  await client.send(
    Buffer.concat([
      h2Frame(h2Types.headers, 0, 1, block.subarray(0, at)),
      h2Frame(h2Types.continuation, 0, 1, block.subarray(at, 2 * at)),
      h2Frame(h2Types.continuation, h2Flags.endHeaders, 1, block.subarray(2 * at)),
    ]),
  );
  await client.ended(1);
  expect(client.frames.some((frame) => frame.type === h2Types.rstStream)).toBe(true);
  await client.send(h2Call(3, capabilities, nothing));
  await client.ended(3);
  expect(client.frames.some((frame) => frame.type === h2Types.data)).toBe(true);
  expect(client.goawayCode).toBeNull();
});

test("100,000 fields of metadata cost the connection, and no memory", async () => {
  using client = await H2Client.connect(node.grpcPort);
  await using memory = watchMemory(node.pid);
  const name = encodeHeaders([["x", "y"]]);
  const fields = Buffer.concat(Array.from({ length: 100_000 }, () => name));
  await client.send(h2Frame(h2Types.headers, 0, 1, encodeHeaders(callFields(capabilities))));
  for (let at = 0; at < fields.length && !client.isClosed; at += 16_000) {
    await client.send(h2Frame(h2Types.continuation, 0, 1, fields.subarray(at, at + 16_000)));
  }
  expect(await client.closed()).toBe(h2Codes.enhanceYourCalm);
  expect(memory.maxBytes() - memory.beforeBytes).toBeLessThan(growthBytesMax);
});

test("a connection that was cut and is not closed by its client is closed by the node", async () => {
  using client = await H2Client.connect(node.grpcPort);
  await client.until("SETTINGS", () => client.frames.length > 0);
  await client.send(h2Frame(h2Types.ping, 0, 1, Buffer.alloc(8)));
  expect(await client.closed()).toBe(h2Codes.protocolError);
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fs from "node:fs";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import { numbered } from "../../support/engine.ts";
import { connect, head } from "../../support/raw-http.ts";
import { eventually, type SpecServer, startServer } from "../../support/server.ts";
import { largeFiles } from "./files.ts";

const gradle = (id: string): string => `/api/cache/gradle/${id}?tenant_id=t`;
const large: Buffer<ArrayBuffer> = numbered(24 * MiB);

let server: SpecServer;
let descriptors = 0;
beforeAll(async () => {
  server = await startServer();
  for (const [id, body] of [
    ["small", Buffer.from("small")],
    ["middle", large.subarray(0, 700 * KiB)],
    ["large", large],
  ] as const) {
    await fetch(`${server.url}${gradle(id)}`, { method: "PUT", body });
    expect((await (await fetch(`${server.url}${gradle(id)}`)).bytes()).length).toBe(body.length);
  }
  descriptors = countDescriptors();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

function countDescriptors(): number {
  return fs.readdirSync("/proc/self/fd").length;
}

/** Nothing is on its way, nothing is held, nothing is open that was not open before. */
async function becomesClean(): Promise<void> {
  await eventually("no request is in flight", () => server.life.httpInflight === 0);
  await eventually("the upload budget is whole", () => server.budget.usedBytes === 0);
  // Connections of `fetch` stay open for a while; what leaks comes on top of each round.
  await eventually("the descriptors are back", () => countDescriptors() <= descriptors + 8);
}

const endings = ["reset", "destroy", "endWriting"] as const;

/** Streams of requests that hold every kind of state. */
const streams: readonly [string, string][] = [
  ["a hit", head(`GET ${gradle("small")}`)],
  ["a hit that asks for the end", head(`GET ${gradle("small")}`, "Connection: close")],
  ["three hits", head(`GET ${gradle("middle")}`, "Range: bytes=5-300000").repeat(3)],
  ["an upload", `${head(`PUT ${gradle("new")}`, "Content-Length: 20")}${"x".repeat(20)}`],
  [
    "an upload in chunks",
    `${head("PUT /api/cache/keyvalue?tenant_id=t", "Transfer-Encoding: chunked")}5\r\n{"a":\r\n2;x=y\r\n1}\r\n0\r\nX: a\r\n\r\n`,
  ],
  [
    "a refused upload and a hit",
    `${head("PUT /nowhere", "Content-Length: 30")}${"y".repeat(30)}${head(`GET ${gradle("small")}`)}`,
  ],
  [
    "an upload that waits",
    `${head(`PUT ${gradle("waiting")}`, "Expect: 100-continue", "Content-Length: 3")}abc`,
  ],
  ["a bad request", `GET /\x01 HTTP/1.1\r\n\r\n${head("GET /up")}`],
];

describe.each(endings)("a client that ends by %s", (ending) => {
  test.each(streams)("at any byte of %s leaves nothing behind", async (_, stream) => {
    const cutAt = async (count: number): Promise<void> => {
      await using client = await connect(server.port);
      await client.send(stream.slice(0, count));
      // Half of them are gone before the node has looked, half while it is at work.
      if (count % 2 === 0) await new Promise(setImmediate);
      client[ending]();
      await client.closed();
    };
    const cuts = Array.from({ length: stream.length + 1 }, (_, count) => count);
    for (let at = 0; at < cuts.length; at += 16) {
      await Promise.all(cuts.slice(at, at + 16).map(cutAt));
    }
    await becomesClean();
  });

  test.each(["middle", "large"])(
    "in the middle of a download (%s) leaves nothing behind",
    async (id) => {
      for (const readFirst of [false, true]) {
        // Those that only end their half get all of it.
        const count = ending === "endWriting" ? 1 : 12;
        const clients = await Promise.all(
          Array.from({ length: count }, () => connect(server.port)),
        );
        for (const client of clients) {
          client.pause();
          await client.send(
            head(`GET ${gradle(id)}`) + head(`GET ${gradle(id)}`, "Connection: close"),
          );
        }
        if (readFirst) for (const client of clients) client.resume();
        await new Promise(setImmediate);
        for (const client of clients) client[ending]();
        for (const client of clients) client.resume();
        for (const client of clients) await client.closed();
        for (const client of clients) client.destroy();
      }
      await becomesClean();
    },
  );

  test("in the middle of large uploads leaves nothing behind", async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => connect(server.port)));
    const files = largeFiles(server.dataDir);
    const sent = clients.map((client, i) => {
      const line = `PUT ${gradle(`cut-${ending}-${i}`)}`;
      const framing = i % 2 === 0 ? "Content-Length: 20000000" : "Transfer-Encoding: chunked";
      const part = large.subarray(0, (i + 1) * 500 * KiB);
      const chunk = `${part.length.toString(16)}\r\n`;
      return client.send(
        Buffer.concat([Buffer.from(head(line, framing) + (i % 2 === 0 ? "" : chunk)), part]),
      );
    });
    await eventually("they are under way", () => server.life.httpInflight > 0);
    await new Promise(setImmediate);
    for (const client of clients) client[ending]();
    await Promise.all(sent);
    for (const client of clients) await client.closed();
    for (const client of clients) client.destroy();
    await becomesClean();
    expect(largeFiles(server.dataDir)).toBe(files);
  });
});

test("a client that ends its half gets the answers to all that it asked for", async () => {
  await using client = await connect(server.port);
  const put = `${head(`PUT ${gradle("half")}`, "Content-Length: 4")}half`;
  await client.send(put + head(`GET ${gradle("large")}`) + head(`GET ${gradle("half")}`));
  client.endWriting();
  expect((await client.answer()).status).toBe(201);
  expect((await client.answer()).body.equals(large)).toBe(true);
  expect((await client.answer()).body.toString()).toBe("half");
  expect((await client.closed()).length).toBe(0);
});

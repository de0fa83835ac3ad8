import { expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import {
  budgetWaitMsMax,
  gatheredBytesMax,
  gatheredWaitMsMax,
} from "../../../runtime/base/limits.ts";
import { connect, head, rawRequest } from "../../support/raw-http.ts";
import { eventually, type SpecServer, SteppedClock, startServer } from "../../support/server.ts";
import { patterned } from "./dialects.ts";

const sizeBytes = 1_000_000;
const count = 24;
const body = patterned(sizeBytes);
const targetOf = (index: number): string => `/api/cache/gradle/gathered${index}?tenant_id=t`;

const largeFiles = (server: SpecServer): string[] => {
  const folder = path.join(server.dataDir, "large");
  return fs.readdirSync(folder).map((name) => path.join(folder, name));
};

const waiting = async (server: SpecServer): Promise<number> => {
  return Number(await server.metric("kura_upload_memory_waiting"));
};

/** A server on which other bodies have all the room, and an upload that lies on disk and waits for its own. */
async function withWaitingUpload(clock?: SteppedClock) {
  const server = await startServer(clock === undefined ? {} : { clock });
  const { gathering } = server;
  expect(gathering.tryTake(gathering.limitBytes)).toBe(true);
  const answer = fetch(`${server.url}${targetOf(0)}`, { method: "PUT", body });
  await eventually("it waits", () => gathering.waiting === 1);
  return { server, gathering, answer };
}

test("bodies that come slowly hold little memory together: the others wait on disk, and all are stored", async () => {
  await using server = await startServer();
  const connections = await Promise.all(Array.from({ length: count }, () => connect(server.port)));
  for (const [index, connection] of connections.entries()) {
    await connection.send(head(`PUT ${targetOf(index)}`, `Content-Length: ${sizeBytes}`));
    await connection.send(body.subarray(0, sizeBytes - 1));
  }
  await eventually("some of them lie on disk", () => largeFiles(server).length >= count / 2);
  expect(server.budget.usedBytes).toBeLessThanOrEqual(gatheredBytesMax);
  expect(server.budget.usedBytes).toBeGreaterThan(0);

  for (const connection of connections) await connection.send(body.subarray(sizeBytes - 1));
  for (const connection of connections) {
    expect((await connection.answer()).status).toBe(201);
    await connection[Symbol.asyncDispose]();
  }
  for (let index = 0; index < count; index++) {
    const got = await fetch(`${server.url}${targetOf(index)}`);
    expect(Buffer.compare(Buffer.from(await got.arrayBuffer()), body)).toBe(0);
  }
  expect([server.budget.usedBytes, server.gathering.usedBytes]).toEqual([0, 0]);
  expect(largeFiles(server)).toEqual([]);
});

test("small bodies, chunked ones too, do not wait for larger ones", async () => {
  const { server, gathering, answer } = await withWaitingUpload();
  await using _ = server;
  expect(await waiting(server)).toBe(1);
  const small = "x".repeat(2_000);
  const whole = head(`PUT ${targetOf(10)}`, `Content-Length: ${small.length}`) + small;
  const chunk = `${small.length.toString(16)}\r\n${small}\r\n`;
  const chunked = `${head(`PUT ${targetOf(11)}`, "Transfer-Encoding: chunked")}${chunk}${chunk}0\r\n\r\n`;
  for (const text of [whole, chunked]) {
    const put = await rawRequest(server.port, text);
    expect([put.status, largeFiles(server).length]).toEqual([201, 1]);
  }
  gathering.give(gathering.limitBytes);
  expect((await answer).status).toBe(201);
  expect([await waiting(server), gathering.usedBytes, largeFiles(server)]).toEqual([0, 0, []]);
});

test("a body that has waited too long for memory is kept as a file", async () => {
  const clock = new SteppedClock();
  const { server, gathering, answer } = await withWaitingUpload(clock);
  await using _ = server;
  clock.step(gatheredWaitMsMax);
  expect((await answer).status).toBe(201);
  expect([largeFiles(server).length, server.budget.usedBytes]).toEqual([1, 0]);
  expect(gathering.usedBytes).toBe(gathering.limitBytes);
  const got = await fetch(`${server.url}${targetOf(0)}`);
  expect(Buffer.compare(Buffer.from(await got.arrayBuffer()), body)).toBe(0);
});

test("a body on disk is kept as a file, and stands in nobody's way, while the upload memory is in use", async () => {
  const clock = new SteppedClock();
  const { server, gathering, answer } = await withWaitingUpload(clock);
  await using _ = server;
  const { budget } = server;
  const otherBytes = budget.limitBytes - 500_000;
  expect(budget.tryTake(otherBytes)).toBe(true);
  gathering.give(gathering.limitBytes);
  await eventually("it waits for the other memory", () => budget.waiting === 1);
  clock.step(budgetWaitMsMax);
  expect((await answer).status).toBe(201);
  expect([gathering.usedBytes, budget.usedBytes]).toEqual([0, otherBytes]);
  expect(largeFiles(server)).toHaveLength(1);
  const put = await fetch(`${server.url}${targetOf(1)}`, { method: "PUT", body: "small" });
  expect(put.status).toBe(201);
  budget.give(otherBytes);
});

test("a small body that nobody announced is refused while the upload memory is in use, and leaves no file", async () => {
  const clock = new SteppedClock();
  await using server = await startServer({ clock });
  const { budget } = server;
  expect(budget.tryTake(budget.limitBytes)).toBe(true);
  const chunk = `7d0\r\n${"x".repeat(2_000)}\r\n0\r\n\r\n`;
  const put = rawRequest(
    server.port,
    `${head(`PUT ${targetOf(0)}`, "Transfer-Encoding: chunked")}${chunk}`,
  );
  await eventually("it waits", () => budget.waiting === 1);
  clock.step(budgetWaitMsMax);
  expect((await put).status).toBe(429);
  expect([budget.usedBytes, largeFiles(server)]).toEqual([budget.limitBytes, []]);
  budget.give(budget.limitBytes);
});

test("a body that has changed on disk while it waited is refused, and nothing is stored", async () => {
  const { server, gathering, answer } = await withWaitingUpload();
  await using _ = server;
  const [file = ""] = largeFiles(server);
  const handle = fs.openSync(file, "r+");
  fs.writeSync(handle, Buffer.alloc(4_096), 0, 4_096, 500_000);
  fs.closeSync(handle);
  gathering.give(gathering.limitBytes);
  expect((await answer).status).toBe(500);
  expect([largeFiles(server), gathering.usedBytes, server.budget.usedBytes]).toEqual([[], 0, 0]);
  expect((await fetch(`${server.url}${targetOf(0)}`)).status).toBe(404);
});

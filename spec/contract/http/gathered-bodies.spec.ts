import { expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { gatheredBytesMax } from "../../../runtime/base/limits.ts";
import { connect, head } from "../../support/raw-http.ts";
import { eventually, startServer } from "../../support/server.ts";
import { patterned } from "./dialects.ts";

const sizeBytes = 1_000_000;
const count = 24;
const body = patterned(sizeBytes);
const targetOf = (index: number): string => `/api/cache/gradle/gathered${index}?tenant_id=t`;

test("bodies that come slowly hold little memory together: the others wait on disk, and all are stored", async () => {
  await using server = await startServer();
  const largeFiles = (): number => fs.readdirSync(path.join(server.dataDir, "large")).length;
  const connections = await Promise.all(Array.from({ length: count }, () => connect(server.port)));
  for (const [index, connection] of connections.entries()) {
    await connection.send(head(`PUT ${targetOf(index)}`, `Content-Length: ${sizeBytes}`));
    await connection.send(body.subarray(0, sizeBytes - 1));
  }
  await eventually("some of them lie on disk", () => largeFiles() >= count / 2);
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
  expect([server.budget.usedBytes, largeFiles()]).toEqual([0, 0]);
});

import { afterAll, beforeAll, expect, test } from "bun:test";
import { MiB } from "../../../runtime/base/units.ts";
import { connect, head, type RawAnswer } from "../../support/raw-http.ts";
import { type SpecServer, startServer } from "../../support/server.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
  await fetch(`${server.url}/v1/cache/known`, { method: "PUT", body: "x" });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const piece = Buffer.alloc(MiB);

/** As many clients do it: nothing is read before all is written, so a reset connection takes the answer away. */
async function writeThenRead(line: string, bodyBytes: number): Promise<RawAnswer> {
  await using connection = await connect(server.port);
  connection.pause();
  await connection.send(head(line, `Content-Length: ${bodyBytes}`));
  for (let sentBytes = 0; sentBytes < bodyBytes; sentBytes += piece.length) {
    await connection.send(piece.subarray(0, Math.min(piece.length, bodyBytes - sentBytes)));
  }
  connection.resume();
  return await connection.answer();
}

test.each([
  ["a Gradle entry over the limit", "PUT /api/cache/gradle/a?tenant_id=t", 100 * MiB + 1, 413],
  ["a Gradle entry without a tenant", "PUT /api/cache/gradle/a", 70 * MiB, 400],
  ["a key-value entry over the limit", "PUT /api/cache/keyvalue?tenant_id=t", 70 * MiB, 413],
  ["an Xcode artifact over the limit", "POST /api/cache/cas/a?tenant_id=t", 256 * MiB + 1, 413],
  ["a path that is no route", "PUT /nowhere", 70 * MiB, 404],
  ["a method that is not allowed", "POST /v1/cache/a", 70 * MiB, 405],
  ["what Nx has stored before", "PUT /v1/cache/known", 70 * MiB, 200],
  ["what Nx has stored before, however long", "PUT /v1/cache/known", 513 * MiB, 200],
])("the answer to %s reaches a client that writes all first", async (_, line, bytes, status) => {
  const answer = await writeThenRead(line, bytes);
  expect([answer.status, answer.headers.get("connection")]).toEqual([status, undefined]);
});

test("a refused body of more than 512 MiB ends its connection", async () => {
  for (const [bytes, connection] of [
    [512 * MiB, undefined],
    [512 * MiB + 1, "close"],
  ] as const) {
    await using client = await connect(server.port);
    await client.send(head("PUT /nowhere", `Content-Length: ${bytes}`));
    expect((await client.answer()).headers.get("connection")).toBe(connection);
  }
});

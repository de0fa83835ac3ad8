import { expect, test } from "bun:test";
import { budgetWaitMsMax } from "../../../runtime/base/limits.ts";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import { connect, head, type RawConnection } from "../../support/raw-http.ts";
import { eventually, SteppedClock, startServer } from "../../support/server.ts";
import { patterned } from "./dialects.ts";

const env = { KURA_UPLOAD_MEMORY_BYTES: String(16 * MiB) };

test("documents that do not say how long they are cannot hold the memory of uploads", async () => {
  const clock = new SteppedClock();
  await using server = await startServer({ env, clock });
  const { documents, budget } = server;
  const line = "PUT /api/cache/keyvalue?tenant_id=t&namespace_id=n";
  const held: RawConnection[] = [];
  for (let i = 0; i < 8; i++) {
    const connection = await connect(server.port);
    held.push(connection);
    await connection.send(head(line, "Transfer-Encoding: chunked"));
  }
  await eventually("their memory is used up", () => documents.waiting > 0);
  expect(documents.usedBytes).toBeLessThanOrEqual(documents.limitBytes);
  expect(documents.limitBytes).toBeLessThan(budget.limitBytes);

  for (const sizeBytes of [1_000, 60 * KiB, 1 * MiB, 3 * MiB]) {
    const put = await fetch(`${server.url}/api/cache/gradle/g${sizeBytes}?tenant_id=t`, {
      method: "PUT",
      body: patterned(sizeBytes),
    });
    expect([sizeBytes, put.status]).toEqual([sizeBytes, 201]);
  }
  expect(documents.waiting).toBe(6);
  clock.step(budgetWaitMsMax);
  for (const connection of held.slice(2)) {
    const { status, headers } = await connection.answer();
    expect([status, headers.get("retry-after")]).toEqual([429, expect.any(String)]);
  }
  for (const connection of held) await connection[Symbol.asyncDispose]();
  await eventually("all is given back", () => documents.usedBytes === 0);
});

test("a short body that comes slowly is charged for what has come of it", async () => {
  await using server = await startServer({ env });
  await using slow = await connect(server.port);
  const sizeBytes = 60 * KiB;
  await slow.send(head("PUT /api/cache/gradle/slow?tenant_id=t", `Content-Length: ${sizeBytes}`));
  await slow.send("x".repeat(1_000));
  await eventually("some of it is charged", () => server.budget.usedBytes === 1_000);
  await slow.send("x".repeat(sizeBytes - 1_000));
  expect((await slow.answer()).status).toBe(201);
  expect(server.budget.usedBytes).toBe(0);
});

import { describe, expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { Fault } from "../../../runtime/base/fault.ts";
import { budgetWaitMsMax } from "../../../runtime/base/limits.ts";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import {
  completeModule,
  getModule,
  headModule,
  openUpload,
  partBody,
  sendPart,
  startModule,
  startUpload,
  uploadModule,
} from "../../support/module-client.ts";
import { connect, head } from "../../support/raw-http.ts";
import { eventually, type SpecServer, SteppedClock, startServer } from "../../support/server.ts";
import { noFaults, withFaults } from "./faulty-store.ts";

type Sent = { id: string; number: number; body: BodyInit };

async function part(server: SpecServer, sent: Sent): Promise<number> {
  return (await sendPart(server.url, sent)).status;
}

async function complete(server: SpecServer, id: string, parts: number[]): Promise<number> {
  return (await completeModule(server.url, { id, document: { parts } })).status;
}

/** Shed, not broken: 429 and a time to come back at. */
function expectShed(answer: Response): void {
  expect(answer.status).toBe(429);
  const seconds = Number(answer.headers.get("retry-after"));
  expect(seconds >= 1 && seconds <= 10 && Number.isInteger(seconds)).toBe(true);
}

describe("open uploads", () => {
  test("are 128 at most; the next one is told when to come back, and a completion makes room", async () => {
    await using server = await startServer();
    await uploadModule(server.url, { hash: "there" }, [partBody(1, 10)]);
    const ids: string[] = [];
    for (let i = 0; i < 128; i++) ids.push(await openUpload(server.url, { hash: `h${i}` }));
    expectShed(await startModule(server.url, { hash: "next" }));
    expect(await server.metric("kura_multipart_uploads_active")).toBe(128);
    expect(await startUpload(server.url, { hash: "there" })).toBeNull();
    const [id = ""] = ids;
    expect(await part(server, { id, number: 1, body: "x" })).toBe(204);
    expect(await complete(server, id, [1])).toBe(204);
    expect((await startModule(server.url, { hash: "next" })).status).toBe(200);
    expectShed(await startModule(server.url, { hash: "one-more" }));
  });

  test("end at their time: no part, no completion, no file, and room for others", async () => {
    const env = {
      KURA_MULTIPART_MAX_ACTIVE_UPLOADS: "1",
      KURA_MULTIPART_UPLOAD_TTL_MS: "1000",
      KURA_MULTIPART_JANITOR_INTERVAL_MS: "1000",
    };
    await using server = await startServer({ env });
    const id = await openUpload(server.url, { hash: "old" });
    expect(await part(server, { id, number: 1, body: "x" })).toBe(204);
    const isGone = async (): Promise<boolean> =>
      (await server.metric("kura_multipart_uploads_active")) === 0;
    await eventually("the upload is over", isGone);
    const files = (): string[] => fs.readdirSync(path.join(server.dataDir, "parts"));
    await eventually("its part is gone", () => files().length === 0);
    expect(await server.metric("kura_multipart_part_bytes")).toBe(0);
    expect(await part(server, { id, number: 2, body: "x" })).toBe(404);
    expect(await complete(server, id, [1])).toBe(404);
    expect((await startModule(server.url, { hash: "new" })).status).toBe(200);
  });

  test("are over at their time even before the janitor comes, also for a part on its way", async () => {
    const env = {
      KURA_MULTIPART_MAX_ACTIVE_UPLOADS: "1",
      KURA_MULTIPART_UPLOAD_TTL_MS: "1000",
    };
    await using server = await startServer({ env });
    const id = await openUpload(server.url, { hash: "old" });
    await using slow = await connect(server.port);
    const line = `POST /api/cache/module/part?upload_id=${id}&part_number=1`;
    await slow.send(head(line, `Content-Length: ${100 * KiB}`));
    await slow.send(partBody(1, 50 * KiB));
    await eventually("the upload is over", async () => {
      return (await complete(server, id, [1])) === 404;
    });
    await slow.send(partBody(1, 50 * KiB));
    expect((await slow.answer()).status).toBe(404);
    expect((await startModule(server.url, { hash: "new" })).status).toBe(200);
    expect(await server.metric("kura_multipart_part_bytes")).toBe(0);
  });
});

describe("bytes of parts", () => {
  test("have a cap over all uploads: 429 at it, and room again once one is completed", async () => {
    const env = { KURA_MULTIPART_MAX_STORED_BYTES: String(MiB) };
    await using server = await startServer({ env });
    const [one, two] = [
      await openUpload(server.url, { hash: "one" }),
      await openUpload(server.url, { hash: "two" }),
    ];
    expect(await part(server, { id: one, number: 1, body: partBody(1, 700 * KiB) })).toBe(204);
    const large = { id: two, number: 1, body: partBody(2, 400 * KiB) };
    expectShed(await sendPart(server.url, large));
    // A chunked part may become as large as a part may be, so it is held to that.
    await using chunked = await connect(server.port);
    const line = `POST /api/cache/module/part?upload_id=${two}&part_number=1`;
    await chunked.send(head(line, "Transfer-Encoding: chunked"));
    await chunked.send("1\r\nx\r\n0\r\n\r\n");
    expect((await chunked.answer()).status).toBe(429);
    expect(await complete(server, one, [1])).toBe(204);
    await eventually("the completed parts are gone", async () => {
      return (await server.metric("kura_multipart_part_bytes")) === 0;
    });
    expect(await part(server, large)).toBe(204);
  });

  test("are part of the capacity of the store: 507 when it is used up", async () => {
    const env = { KURA_CAS_CAPACITY_BYTES: String(6 * MiB) };
    await using server = await startServer({ env });
    const id = await openUpload(server.url, { hash: "full" });
    expect(await part(server, { id, number: 1, body: partBody(1, 4 * MiB) })).toBe(204);
    expect(await part(server, { id, number: 2, body: partBody(1, 4 * MiB) })).toBe(507);
    // The module needs its room beside its parts until it is durable.
    expect(await complete(server, id, [1])).toBe(507);
    expect(await part(server, { id, number: 1, body: partBody(1, MiB + 1) })).toBe(204);
    expect(await complete(server, id, [1])).toBe(204);
    expect((await getModule(server.url, { hash: "full" })).status).toBe(200);
  });

  test("have a limit for each module: 422 before the body where its length is known", async () => {
    const env = { KURA_MAX_MODULE_BYTES: "1000" };
    await using server = await startServer({ env });
    const id = await openUpload(server.url, { hash: "total" });
    expect(await part(server, { id, number: 1, body: partBody(1, 600) })).toBe(204);
    expect(await part(server, { id, number: 2, body: partBody(1, 401) })).toBe(422);
    await using early = await connect(server.port);
    const line = `POST /api/cache/module/part?upload_id=${id}&part_number=2`;
    await early.send(head(line, "Content-Length: 401"));
    expect((await early.answer()).status).toBe(422);
    await using chunked = await connect(server.port);
    await chunked.send(head(line, "Transfer-Encoding: chunked"));
    await chunked.send(`191\r\n${"x".repeat(401)}\r\n0\r\n\r\n`);
    expect((await chunked.answer()).status).toBe(422);
    // In place of the first part it fits, and so does what fills the rest to the byte.
    expect(await part(server, { id, number: 1, body: partBody(1, 599) })).toBe(204);
    expect(await part(server, { id, number: 2, body: partBody(1, 401) })).toBe(204);
    expect(await complete(server, id, [1, 2])).toBe(204);
    expect(await server.metric(`kura_multipart_parts_total{result="rejected"}`)).toBe(3);
  });
});

describe("a node in trouble", () => {
  test("that drains or recovers answers 503 on every route", async () => {
    await using recovering = await startServer({ phase: "recovering" });
    await using draining = await startServer();
    const id = await openUpload(draining.url, { hash: "h" });
    draining.life.advance("draining");
    for (const { url } of [recovering, draining]) {
      expect((await startModule(url, { hash: "h" })).status).toBe(503);
      expect((await sendPart(url, { id, number: 1, body: "x" })).status).toBe(503);
      expect((await completeModule(url, { id, document: { parts: [1] } })).status).toBe(503);
      expect(await headModule(url, { hash: "h" })).toBe(503);
    }
  });

  test("whose store refuses the module says why, and keeps the upload for another try", async () => {
    const faults = noFaults();
    await using server = await startServer({ inFront: (store) => withFaults(store, faults) });
    const [small, large] = [
      await openUpload(server.url, { hash: "small" }),
      await openUpload(server.url, { hash: "large" }),
    ];
    expect(await part(server, { id: small, number: 1, body: "x" })).toBe(204);
    expect(await part(server, { id: large, number: 1, body: partBody(1, 2 * MiB) })).toBe(204);
    faults.commit = new Fault("unavailable", "the disk failed", { cause: new Error("EIO") });
    expect(await complete(server, small, [1])).toBe(503);
    expect(await complete(server, large, [1])).toBe(503);
    faults.commit = new Fault("full", "no room");
    expect(await complete(server, small, [1])).toBe(507);
    faults.commit = new Fault("outcomeUnknown", "nobody knows");
    await expect(complete(server, small, [1])).rejects.toThrow();
    faults.commit = null;
    faults.stage = new Fault("full", "no room");
    expect(await complete(server, large, [1])).toBe(507);
    faults.stage = null;
    faults.find = new Fault("unavailable", "no index", { cause: new Error("EIO") });
    expect((await startModule(server.url, { hash: "h" })).status).toBe(503);
    expect(await headModule(server.url, { hash: "h" })).toBe(503);
    faults.find = null;
    expect(await complete(server, small, [1])).toBe(204);
    expect(await complete(server, large, [1])).toBe(204);
  });

  test("without memory for uploads sheds a small module and keeps its upload", async () => {
    const clock = new SteppedClock();
    const env = {
      KURA_UPLOAD_MEMORY_BYTES: String(MiB),
      KURA_MAX_KEYVALUE_BYTES: String(64 * KiB),
    };
    await using server = await startServer({ env, clock });
    const id = await openUpload(server.url, { hash: "h" });
    expect(await part(server, { id, number: 1, body: partBody(1, 100 * KiB) })).toBe(204);
    const takenBytes = server.budget.limitBytes;
    expect(server.budget.tryTake(takenBytes)).toBe(true);
    const waiting = completeModule(server.url, { id, document: { parts: [1] } });
    await eventually("the completion waits", () => server.budget.waiting === 1);
    clock.step(budgetWaitMsMax);
    expectShed(await waiting);
    server.budget.give(takenBytes);
    expect(await complete(server, id, [1])).toBe(204);
    expect(server.budget.usedBytes).toBe(0);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import {
  completeModule,
  getModule,
  headModule,
  openUpload,
  partBody,
  sendPart,
  startModule,
} from "../../support/module-client.ts";
import { connect, head } from "../../support/raw-http.ts";
import { eventually, type SpecServer, startServer } from "../../support/server.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const rounds = 12;

async function part(id: string, number: number, body: BodyInit): Promise<number> {
  return (await sendPart(server.url, { id, number, body })).status;
}

async function complete(id: string, parts: readonly number[]): Promise<number> {
  return (await completeModule(server.url, { id, document: { parts } })).status;
}

async function bytesOf(hash: string): Promise<Buffer> {
  const answer = await getModule(server.url, { hash });
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

function partFiles(): string[] {
  return fs.readdirSync(path.join(server.dataDir, "parts"));
}

async function expectNoPartLeft(): Promise<void> {
  await eventually("all part files are gone", () => partFiles().length === 0);
  expect(await server.metric("kura_multipart_part_bytes")).toBe(0);
}

describe("parts of one upload", () => {
  test("that all come at one time are all there", async () => {
    const id = await openUpload(server.url, { hash: "many" });
    const bodies = Array.from({ length: 128 }, (_, i) => partBody(i, (i % 7) * 9 * KiB + i));
    const statuses = await Promise.all(bodies.map((body, i) => part(id, i + 1, body)));
    expect(statuses).toEqual(bodies.map(() => 204));
    expect(
      await complete(
        id,
        bodies.map((_, i) => i + 1),
      ),
    ).toBe(204);
    expect(Buffer.compare(await bytesOf("many"), Buffer.concat(bodies))).toBe(0);
    await expectNoPartLeft();
  });

  test("under one number leave one of them, whole", async () => {
    const id = await openUpload(server.url, { hash: "same" });
    const bodies = Array.from({ length: 32 }, (_, i) => partBody(i, 60 * KiB + i));
    const statuses = await Promise.all(bodies.map((body) => part(id, 1, body)));
    expect(statuses).toEqual(bodies.map(() => 204));
    expect(partFiles()).toHaveLength(1);
    expect(await complete(id, [1])).toBe(204);
    const found = await bytesOf("same");
    expect(bodies.filter((body) => Buffer.compare(found, body) === 0)).toHaveLength(1);
    await expectNoPartLeft();
  });

  test("do not wait for each other's clients", async () => {
    const id = await openUpload(server.url, { hash: "slow" });
    await using slow = await connect(server.port);
    const line = `POST /api/cache/module/part?upload_id=${id}&part_number=1`;
    await slow.send(head(line, `Content-Length: ${MiB}`));
    await slow.send(partBody(1, MiB / 2));
    expect(await part(id, 2, "two")).toBe(204);
    expect(await part(id, 1, "one")).toBe(204);
    const other = await openUpload(server.url, { hash: "slow-other" });
    expect(await part(other, 1, "other")).toBe(204);
    expect(await complete(other, [1])).toBe(204);
    expect(await complete(id, [1, 2])).toBe(204);
    // What was on its way when the upload ended belongs to nothing.
    await slow.send(partBody(2, MiB / 2));
    expect((await slow.answer()).status).toBe(404);
    expect((await bytesOf("slow")).toString()).toBe("onetwo");
    await expectNoPartLeft();
  });
});

describe("a part and a completion", () => {
  test("at one time: the module is what its list of parts says, or nothing yet", async () => {
    for (let round = 0; round < rounds; round++) {
      const hash = `part-complete-${round}`;
      const id = await openUpload(server.url, { hash });
      const [first, second] = [partBody(1, 300 * KiB), partBody(2, 300 * KiB + round)];
      expect(await part(id, 1, first)).toBe(204);
      const [sent, one, both] = await Promise.all([
        part(id, 2, second),
        complete(id, [1]),
        complete(id, [1, 2]),
      ]);
      expect([204, 404]).toContain(sent);
      expect([204, 400, 404]).toContain(one);
      expect([204, 400, 404]).toContain(both);
      expect(one === 204 && both === 204).toBe(false);
      const expected = one === 204 ? [first] : [first, second];
      if (one !== 204 && both !== 204) {
        expect([sent, await headModule(server.url, { hash })]).toEqual([204, 404]);
        expect(await complete(id, [1, 2])).toBe(204);
      }
      expect(Buffer.compare(await bytesOf(hash), Buffer.concat(expected))).toBe(0);
    }
    await expectNoPartLeft();
  });
});

describe("completions", () => {
  test("of one upload at one time: one makes the module, the others find no upload", async () => {
    for (const sizeBytes of [2_000, 2 * MiB]) {
      const hash = `completed-${sizeBytes}`;
      const id = await openUpload(server.url, { hash });
      const body = partBody(1, sizeBytes);
      await part(id, 1, body);
      const statuses = await Promise.all(Array.from({ length: 16 }, () => complete(id, [1])));
      expect(statuses.sort()).toEqual([204, ...new Array(15).fill(404)]);
      expect(Buffer.compare(await bytesOf(hash), body)).toBe(0);
    }
    await expectNoPartLeft();
  });

  test("of many uploads of one module at one time: all succeed and one body is stored", async () => {
    for (const sizeBytes of [2_000, 2 * MiB]) {
      const hash = `rivals-${sizeBytes}`;
      const bodies = Array.from({ length: 6 }, (_, i) => partBody(i, sizeBytes));
      const answers = await Promise.all(bodies.map(() => startModule(server.url, { hash })));
      const ids = await Promise.all(
        answers.map(async (one) => ((await one.json()) as { upload_id: string }).upload_id),
      );
      expect(new Set(ids).size).toBe(bodies.length);
      await Promise.all(ids.map((id, i) => part(id, 1, bodies[i]!)));
      const statuses = await Promise.all(ids.map((id) => complete(id, [1])));
      expect(statuses).toEqual(bodies.map(() => 204));
      const found = await bytesOf(hash);
      expect(bodies.filter((body) => Buffer.compare(found, body) === 0)).toHaveLength(1);
    }
    await expectNoPartLeft();
  });
});

test("starts that race for the last place get it once", async () => {
  await using small = await startServer({ env: { KURA_MULTIPART_MAX_ACTIVE_UPLOADS: "5" } });
  const starts = Array.from({ length: 20 }, (_, i) => startModule(small.url, { hash: `h${i}` }));
  const statuses = (await Promise.all(starts)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(5);
  expect(statuses.filter((status) => status === 429)).toHaveLength(15);
});

// heavy
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { hour, KiB, MiB, minute, second } from "../../runtime/base/units.ts";
import { clockEnvironment, compileClockShim } from "../support/clock-shim.ts";
import { drawSeed } from "../support/fault-run.ts";
import {
  completeModule,
  getModule,
  headModule,
  openUpload,
  partBody,
  sendPart,
  startModule,
} from "../support/module-client.ts";
import {
  makeTemporaryFolder,
  type NodeProcess,
  startNode,
  until,
} from "../support/node-process.ts";
import { connect, head } from "../support/raw-http.ts";
import { scaled } from "../support/tier.ts";

setDefaultTimeout(5 * minute);

/** Sizes on both sides of what is committed from memory. */
const sizesBytes = [0, 1, 10 * KiB, 300 * KiB, MiB, 3 * MiB, 10 * MiB];

async function part(node: NodeProcess, id: string, number: number, body: Uint8Array<ArrayBuffer>) {
  return (await sendPart(node.url, { id, number, body })).status;
}

/** Status of the answer, or null when the connection ended without one. */
async function tryPart(
  node: NodeProcess,
  id: string,
  number: number,
  body: Uint8Array<ArrayBuffer>,
): Promise<number | null> {
  return await part(node, id, number, body).catch(() => null);
}

async function complete(
  node: NodeProcess,
  id: string,
  parts: readonly number[],
): Promise<number | null> {
  const answer = completeModule(node.url, { id, document: { parts } });
  return await answer.then(
    ({ status }) => status,
    () => null,
  );
}

async function bytesOf(node: NodeProcess, hash: string): Promise<Buffer> {
  const answer = await getModule(node.url, { hash });
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

function partFiles(dataDir: string): string[] {
  return fs.readdirSync(path.join(dataDir, "parts"));
}

function drawSize(random: Random): number {
  return sizesBytes[random.below(sizesBytes.length)] ?? 0;
}

describe("a node that is killed", () => {
  test("between and during parts keeps what it acknowledged, and the upload goes on", async () => {
    const seed = drawSeed();
    console.log(`multipart: seed ${seed} (KURA_SPEC_SEED=${seed} repeats it)`);
    const random = seededRandom(seed);
    let node = await startNode();
    await using _first = node;
    const rounds = scaled(60);
    for (let round = 0; round < rounds; round++) {
      const hash = `killed-${seed}-${round}`;
      const id = await openUpload(node.url, { hash });
      const sent = new Map<number, Uint8Array<ArrayBuffer>>();
      while (sent.size < 4) {
        const body = partBody(random.below(1_000), drawSize(random));
        const number = 1 + random.below(6);
        const answer = tryPart(node, id, number, body);
        if (random.below(3) === 0) {
          await Bun.sleep(random.below(20));
          await node.kill();
          const status = await answer;
          node = await node.restart();
          if (status === 204) sent.set(number, body);
          // Its end is not known: it is sent again, which puts it in place of whatever is there.
          else if (status === null && (await part(node, id, number, body)) === 204)
            sent.set(number, body);
          continue;
        }
        expect(await answer).toBe(204);
        sent.set(number, body);
      }
      const numbers = [...sent.keys()].sort((left, right) => left - right);
      expect([seed, round, await complete(node, id, numbers)]).toEqual([seed, round, 204]);
      const whole = Buffer.concat(numbers.map((number) => sent.get(number) ?? new Uint8Array(0)));
      expect(Buffer.compare(await bytesOf(node, hash), whole)).toBe(0);
    }
    await until("no part is left", () => partFiles(node.dataDir).length === 0);
  });

  test("in the middle of a completion has the whole module or the whole upload", async () => {
    const seed = drawSeed();
    console.log(`multipart: seed ${seed} (KURA_SPEC_SEED=${seed} repeats it)`);
    const random = seededRandom(seed);
    let node = await startNode();
    await using _first = node;
    const ends = { stored: 0, open: 0 };
    for (let round = 0; round < scaled(100); round++) {
      const hash = `completing-${seed}-${round}`;
      const id = await openUpload(node.url, { hash });
      const count = 1 + random.below(4);
      const bodies = Array.from({ length: count }, (_, i) => partBody(i + round, drawSize(random)));
      for (const [i, body] of bodies.entries()) expect(await part(node, id, i + 1, body)).toBe(204);
      const numbers = bodies.map((_, i) => i + 1);
      const answer = complete(node, id, numbers);
      await Bun.sleep(random.below(40));
      await node.kill();
      const status = await answer;
      expect(status === 204 || status === null).toBe(true);
      node = await node.restart();
      const isStored = (await headModule(node.url, { hash })) === 204;
      if (status === 204) expect(isStored).toBe(true);
      ends[isStored ? "stored" : "open"] += 1;
      // Until the start has looked at it, the upload of what exists is completed once more; afterwards it is gone.
      const again = await complete(node, id, numbers);
      if (isStored) expect(again === 204 || again === 404).toBe(true);
      else expect(again).toBe(204);
      expect(Buffer.compare(await bytesOf(node, hash), Buffer.concat(bodies))).toBe(0);
    }
    console.log(`killed while completing: ${JSON.stringify(ends)}`);
    await until("no part is left", () => partFiles(node.dataDir).length === 0);
  });

  test("leaves no trace of a part whose body had not ended", async () => {
    let node = await startNode();
    await using _first = node;
    const id = await openUpload(node.url, { hash: "cut" });
    expect(await part(node, id, 1, partBody(1, 1_000))).toBe(204);
    await using slow = await connect(node.port);
    const line = `POST /api/cache/module/part?upload_id=${id}&part_number=2`;
    await slow.send(head(line, `Content-Length: ${4 * MiB}`));
    await slow.send(partBody(2, 3 * MiB));
    await until("bytes of it are on disk", () => {
      const folder = path.join(node.dataDir, "parts");
      return partFiles(node.dataDir).some(
        (name) => fs.statSync(path.join(folder, name)).size > 1_000_000,
      );
    });
    await node.kill();
    node = await node.restart();
    await until("its file is gone", () => partFiles(node.dataDir).length === 1);
    expect(await complete(node, id, [1, 2])).toBe(400);
    expect(await complete(node, id, [1])).toBe(204);
    expect((await bytesOf(node, "cut")).length).toBe(1_000);
  });
});

describe("uploads that nobody completes", () => {
  test("survive restarts, count against the cap, and make room at their time", async () => {
    const shim = makeTemporaryFolder("clock");
    const library = compileClockShim(shim);
    const env = { KURA_MULTIPART_MAX_ACTIVE_UPLOADS: "16" };
    let node = await startNode({ env });
    await using _first = node;
    const ids: string[] = [];
    for (let i = 0; i < 16; i++) {
      const id = await openUpload(node.url, { hash: `orphan-${i}` });
      expect(await part(node, id, 1, partBody(i, 50 * KiB))).toBe(204);
      ids.push(id);
      if (i % 5 !== 4) continue;
      await node.kill();
      node = await node.restart();
    }
    expect((await startModule(node.url, { hash: "shed" })).status).toBe(429);
    // A clock set back by a day makes nobody older, and nobody immortal.
    await node.kill();
    node = await node.restart({ env: clockEnvironment(library, -24 * hour) });
    expect((await startModule(node.url, { hash: "shed" })).status).toBe(429);
    const [kept = ""] = ids;
    expect(await complete(node, kept, [1])).toBe(204);
    await node.kill();
    node = await node.restart({ env: clockEnvironment(library, 25 * hour) });
    await until("their parts are gone", () => partFiles(node.dataDir).length === 0);
    expect(await complete(node, ids[1] ?? "", [1])).toBe(404);
    for (let i = 0; i < 16; i++) await openUpload(node.url, { hash: `next-${i}` });
    expect((await getModule(node.url, { hash: "orphan-0" })).status).toBe(200);
    fs.rmSync(shim, { recursive: true, force: true });
  });

  test("are removed by the janitor of a node that goes on", async () => {
    const env = {
      KURA_MULTIPART_UPLOAD_TTL_MS: String(2 * second),
      KURA_MULTIPART_JANITOR_INTERVAL_MS: String(second),
    };
    await using node = await startNode({ env });
    const id = await openUpload(node.url, { hash: "expired" });
    expect(await part(node, id, 1, partBody(1, 2 * MiB))).toBe(204);
    await until("its part is gone", () => partFiles(node.dataDir).length === 0);
    expect(await part(node, id, 2, partBody(1, 10))).toBe(404);
    expect(await complete(node, id, [1])).toBe(404);
  });
});

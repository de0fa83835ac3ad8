import { expect, test } from "bun:test";
import fs from "node:fs";
import { seededRandom } from "../../runtime/base/random.ts";
import { largeFiles } from "../contract/http/files.ts";
import { mutate, readByNode, splitAnywhere } from "../support/http1-streams.ts";
import { connect, head } from "../support/raw-http.ts";
import { eventually, type SpecServer, startServer } from "../support/server.ts";
import { scaled } from "../support/tier.ts";

const firstSeed = Number(process.env.KURA_SPEC_SEED ?? 1);
const together = 16;

const gradle = (id: string): string => `/api/cache/gradle/${id}?tenant_id=t`;
const countDescriptors = (): number => fs.readdirSync("/proc/self/fd").length;

/** An upload whose body looks like another upload, and a hit behind it. */
function canaryStream(id: string, isChunked: boolean): { bytes: Buffer; headBytes: number } {
  const canary = `${head(`PUT ${gradle(id)}`, "Content-Length: 1")}x`;
  const framing = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${canary.length}`;
  const outer = head(`PUT ${gradle(`outer-${id}`)}`, "X-A: b", framing, "Accept: */*");
  const body = isChunked ? `${canary.length.toString(16)}\r\n${canary}\r\n0\r\n\r\n` : canary;
  const bytes = Buffer.from(`${outer}${body}${head("GET /up")}`, "latin1");
  return { bytes, headBytes: outer.length };
}

/** Sends one broken stream in pieces; returns the canary's target when nobody may find it there. */
async function attack(server: SpecServer, seed: number): Promise<string | null> {
  const random = seededRandom(seed);
  const { bytes, headBytes } = canaryStream(`c${seed}`, random.below(2) === 0);
  const stream = mutate(random, bytes, headBytes);
  await using client = await connect(server.port);
  for (const piece of splitAnywhere(random, stream)) await client.send(piece);
  const way = random.below(4);
  if (way === 0) client.reset();
  else client.endWriting();
  await client.closed();
  const target = gradle(`c${seed}`);
  return readByNode(stream).some((request) => request.target === target) ? null : target;
}

test("broken requests let nothing in that their bodies hold, and leave nothing behind", async () => {
  await using server = await startServer();
  const count = process.env.KURA_SPEC_SEED === undefined ? scaled(50_000) : 1;
  // The first round opens what stays open.
  await attack(server, firstSeed);
  const descriptors = countDescriptors();
  for (let seed = firstSeed; seed < firstSeed + count; seed += together) {
    const seeds = Array.from(
      { length: Math.min(together, firstSeed + count - seed) },
      (_, i) => seed + i,
    );
    const targets = await Promise.all(seeds.map((one) => attack(server, one)));
    for (const [i, target] of targets.entries()) {
      if (target === null) continue;
      const { status } = await fetch(`${server.url}${target}`);
      expect([`KURA_SPEC_SEED=${seed + i}`, status]).toEqual([`KURA_SPEC_SEED=${seed + i}`, 404]);
    }
  }
  await eventually("no request is in flight", () => server.life.httpInflight === 0);
  await eventually("the upload budget is whole", () => server.budget.usedBytes === 0);
  await eventually("the descriptors are back", () => countDescriptors() <= descriptors + 4);
  expect([largeFiles(server.dataDir), server.logLines]).toEqual([0, []]);
}, 300_000);

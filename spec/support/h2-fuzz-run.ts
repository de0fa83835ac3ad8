import { expect } from "bun:test";
import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { MiB } from "../../runtime/base/units.ts";
import { MessageReader } from "../../runtime/wire/grpc/message-reader.ts";
import { GrpcFailure } from "../../runtime/wire/grpc/status.ts";
import { ConnectionFailure } from "../../runtime/wire/http2/failure.ts";
import { HpackDecoder } from "../../runtime/wire/http2/hpack-decoder.ts";
import { encodeHeaders } from "../../runtime/wire/http2/hpack-encoder.ts";
import { grpcMessage } from "./h2-frames.ts";
import { fuzzMessageBytesMax, mutateSession, randomSession, runSession } from "./h2-fuzz.ts";

const nothing = { streams: 0, queuedBytes: 0, windowBytes: 0, inflight: 0, running: 0 };
/** Of the process that runs the cases: what they leave behind would be many times as much. */
const heapGrowthBytesMax = 64 * MiB;
const warmCases = 1_000;

/** Runs with one seed after the other, from KURA_SPEC_SEED on; a failure names its seed. */
export async function fuzzHttp2(count: number): Promise<void> {
  const given = process.env.KURA_SPEC_SEED;
  const first = Number(given ?? 1);
  const end = given === undefined ? first + count : first + 1;
  let warmBytes = 0;
  for (let seed = first; seed < end; seed++) {
    try {
      await fuzzOne(seed);
    } catch (error) {
      throw new Error(`KURA_SPEC_SEED=${seed} shows it again`, { cause: error });
    }
    if (seed === first + warmCases) warmBytes = heapBytes();
  }
  if (warmBytes > 0) expect(heapBytes() - warmBytes).toBeLessThan(heapGrowthBytesMax);
}

function heapBytes(): number {
  Bun.gc(true);
  return process.memoryUsage().heapUsed;
}

async function fuzzOne(seed: number): Promise<void> {
  switch (seed % 6) {
    case 0:
      fuzzHeaders(seededRandom(seed));
      return;
    case 1:
      fuzzMessages(seededRandom(seed));
      return;
    case 2: {
      const { end, engine } = await runSession(seed, (random) => randomSession(random));
      expect(end).toEqual(nothing);
      // A client that keeps to the protocol is never cut.
      expect(engine.cuts).toEqual([]);
      return;
    }
    default: {
      const made = (random: Random): Buffer[] => mutateSession(random, randomSession(random));
      const { end } = await runSession(seed, made);
      expect(end).toEqual(nothing);
    }
  }
}

/** A decoder takes broken blocks until one ends the connection, and never gives more than it may. */
function fuzzHeaders(random: Random): void {
  const listBytesMax = 4_096;
  const decoder = new HpackDecoder(listBytesMax);
  for (let i = 0; i < 8; i++) {
    const block = Buffer.from(
      random.below(2) === 0
        ? random.bytes(1 + random.below(60))
        : encodeHeaders([
            [":path", "/x"],
            ["x-name", "v".repeat(random.below(200))],
          ]),
    );
    if (random.below(2) === 0) block[random.below(block.length)] = random.below(256);
    try {
      const { fields } = decoder.decode(block);
      const bytes = fields.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
      expect(bytes).toBeLessThanOrEqual(listBytesMax);
    } catch (error) {
      if (error instanceof ConnectionFailure) return;
      throw error;
    }
  }
}

/** Messages are the same however they are cut, and a broken stream of them is refused or incomplete. */
function fuzzMessages(random: Random): void {
  const sent = Array.from({ length: 1 + random.below(5) }, () =>
    Buffer.from(random.bytes(random.below([3, 100, 70_000][random.below(3)] ?? 3))),
  );
  const bytes = Buffer.concat(sent.map(grpcMessage));
  const isBroken = random.below(2) === 0;
  if (isBroken) bytes[random.below(bytes.length)] = random.below(256);
  const reader = new MessageReader(fuzzMessageBytesMax);
  const seen: Uint8Array[] = [];
  try {
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + random.below(40_000);
      reader.push(new Uint8Array(bytes.subarray(at, at + size)), (one) => seen.push(one));
      expect(reader.heldBytes).toBeLessThanOrEqual(fuzzMessageBytesMax);
      at += size;
    }
  } catch (error) {
    if (isBroken && error instanceof GrpcFailure) return;
    throw error;
  }
  if (isBroken) return;
  expect(reader.isInside).toBe(false);
  expect(seen.length).toBe(sent.length);
  for (const [i, one] of seen.entries())
    expect(Buffer.compare(one, sent[i] ?? Buffer.alloc(0))).toBe(0);
}

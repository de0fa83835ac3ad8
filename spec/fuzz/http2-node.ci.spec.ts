import { expect, test } from "bun:test";
import { seededRandom } from "../../runtime/base/random.ts";
import { MiB, minute } from "../../runtime/base/units.ts";
import { callsInFlight, H2Client } from "../support/h2-client.ts";
import { chunksOf, mutateSession, randomSession } from "../support/h2-fuzz.ts";
import { watchMemory } from "../support/memory-watch.ts";
import { startNode, until } from "../support/node-process.ts";
import { ReapiClient } from "../support/reapi-client.ts";

const firstSeed = Number(process.env.KURA_SPEC_SEED ?? 1);
const sessions = process.env.KURA_SPEC_SEED === undefined ? 500 : 1;
const atOnce = 10;
const growthBytesMax = 64 * MiB;
/** Instead of the paths of the in-process methods. */
const write = "/google.bytestream.ByteStream/Write";

test(
  "a node takes 500 broken sessions over sockets, serves the others, and grows by nothing",
  async () => {
    await using node = await startNode({ env: { KURA_GRPC_ENGINE: "kura" } });
    using good = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
    await using memory = watchMemory(node.pid);

    for (let at = 0; at < sessions; at += atOnce) {
      const seeds = Array.from(
        { length: Math.min(atOnce, sessions - at) },
        (_, i) => firstSeed + at + i,
      );
      const sending = seeds.map((seed) => sendBroken(node.grpcPort, seed));
      const answer = await good.call("Capabilities/GetCapabilities", { instanceName: "" });
      expect({ seeds, code: answer.code }).toEqual({ seeds, code: 0 });
      await Promise.all(sending);
    }
    expect(memory.maxBytes() - memory.beforeBytes).toBeLessThan(growthBytesMax);
    await until("no call to be in flight", async () => (await callsInFlight(node.url)) === 0);
    expect(node.stderr()).not.toContain('"level":"error"');
    expect(await node.stop()).toBe(0);
  },
  3 * minute,
);

async function sendBroken(port: number, seed: number): Promise<void> {
  const random = seededRandom(seed);
  using client = await H2Client.connect(port, null);
  const frames = mutateSession(random, randomSession(random, [write, "/t.T/None"]));
  for (const chunk of chunksOf(random, frames)) await client.send(chunk);
}

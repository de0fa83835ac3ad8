// heavy
import { expect, test } from "bun:test";
import { sha256 } from "../../runtime/base/digest.ts";
import { KiB, MiB, minute, second } from "../../runtime/base/units.ts";
import { descriptorsBack, descriptorsOf } from "../support/descriptor-count.ts";
import { makeContent } from "../support/load-surface.ts";
import { type NodeProcess, startNode } from "../support/node-process.ts";
import { connect, head, type RawConnection } from "../support/raw-http.ts";
import { digestOf, ReapiClient } from "../support/reapi-client.ts";

const largeCount = 40;
const large = (index: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(makeContent(`large${index}`, 2 * MiB));
const gradle = (id: string): string => `/api/cache/gradle/${id}?tenant_id=t`;

/** How requests ended: by status, or "cut" for a connection that was closed instead of answered. */
type Tally = Map<string, number>;

function add(tally: Tally, how: string | number): void {
  tally.set(String(how), (tally.get(String(how)) ?? 0) + 1);
}

async function ask(tally: Tally, url: string, init: RequestInit = {}): Promise<void> {
  try {
    const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(30 * second) });
    await answer.arrayBuffer();
    add(tally, answer.status);
  } catch {
    add(tally, "cut");
  }
}

/** Small ones and large ones, writes and reads, as fast as they are answered. */
async function hurry(node: NodeProcess, lane: number, endMs: number, tally: Tally): Promise<void> {
  for (let i = 0; performance.now() < endMs; i++) {
    const id = `${lane}-${i % 50}`;
    const body = i % 10 === 0 ? large(lane) : new Uint8Array(makeContent(id, 3 * KiB));
    await ask(tally, node.url + gradle(id), { method: "PUT", body });
    await ask(tally, node.url + gradle(id));
    await ask(tally, node.url + gradle(`large${(lane + i) % largeCount}`));
  }
}

/** Asks for a large artifact of its own and reads nothing, or begins an upload and sends little. */
async function dawdle(node: NodeProcess, index: number): Promise<RawConnection | null> {
  try {
    const connection = await connect(node.port);
    const target =
      index % 2 === 0
        ? `GET ${gradle(`large${index % largeCount}`)}`
        : `PUT ${gradle(`d${index}`)}`;
    if (index % 2 === 0) connection.pause();
    await connection.send(head(target, ...(index % 2 === 0 ? [] : [`Content-Length: ${3 * MiB}`])));
    if (index % 2 === 1) await connection.send(large(index).subarray(0, 300 * KiB));
    return connection;
  } catch {
    return null;
  }
}

test(
  "with 128 descriptors and three times as many clients, requests are shed, nothing breaks, and all comes back",
  async () => {
    await using node = await startNode({
      launcher: ["prlimit", "--nofile=128:128"],
      env: {
        KURA_FILE_DESCRIPTOR_ACQUIRE_TIMEOUT_MS: "1000",
        KURA_HTTP_IDLE_TIMEOUT_MS: "3000",
      },
    });
    for (let i = 0; i < largeCount; i++) {
      const init = { method: "PUT", body: large(i) };
      expect((await fetch(node.url + gradle(`large${i}`), init)).status).toBe(201);
    }
    const before = descriptorsOf(node.pid);
    const tally: Tally = new Map();
    const endMs = performance.now() + 20 * second;
    const slow: (RawConnection | null)[] = [];
    const waves = (async () => {
      for (let i = 0; performance.now() < endMs - 2 * second; i++) {
        slow.push(await dawdle(node, i));
        if (slow.length > 250) await slow.shift()?.[Symbol.asyncDispose]();
        await Bun.sleep(10);
      }
    })();
    const blob = large(1_000);
    const { hash, sizeBytes } = digestOf(blob);
    const overGrpc = (async () => {
      using client = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
      while (performance.now() < endMs) {
        const resourceName = `uploads/${crypto.randomUUID()}/blobs/${hash}/${sizeBytes}`;
        const { code } = await client.writeMessages([
          { resourceName, data: blob, finishWrite: true },
        ]);
        add(tally, `grpc ${code}`);
        await Bun.sleep(50);
      }
    })();
    const lanes = Array.from({ length: 24 }, (_, lane) => hurry(node, lane, endMs, tally));
    await Promise.all([...lanes, waves, overGrpc]);
    for (const connection of slow) await connection?.[Symbol.asyncDispose]();

    console.log(Object.fromEntries(tally), `${before} descriptors before`);
    const allowed = /^(200|201|404|429|503|cut|grpc (0|4|8|14))$/;
    expect([...tally.keys()].filter((how) => !allowed.test(how))).toEqual([]);
    expect(tally.get("201") ?? 0).toBeGreaterThan(0);
    expect(tally.get("200") ?? 0).toBeGreaterThan(0);
    await descriptorsBack(node.pid, before, 20 * second);
    expect(node.stderr()).not.toContain("EMFILE");
    const answer = await fetch(`${node.url}/ready`);
    expect(answer.status).toBe(200);
    const whole = await fetch(node.url + gradle("large7"));
    const got = new Uint8Array(await whole.arrayBuffer());
    expect(Buffer.compare(sha256(got), sha256(large(7)))).toBe(0);
    expect(await node.stop()).toBe(0);
  },
  2 * minute,
);

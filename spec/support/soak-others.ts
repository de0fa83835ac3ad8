import { KiB, MiB } from "../../runtime/base/units.ts";
import { hashOf } from "./action-blobs.ts";
import { openLoadConnection } from "./load-client.ts";
import { completeModule, getModule, openUpload, partBody, sendPart } from "./module-client.ts";
import { type OpenWrite, ReapiClient } from "./reapi-client.ts";
import { slowDownload, slowUpload } from "./slow-clients.ts";
import { repeat, type SoakStage } from "./soak-actor.ts";

const answerMsMax = 60_000;
const blobsPerAction = 10;
const knownActionsMax = 200;
const slowAnswers = 4;
const slowMoves = 20;
const moveMs = 100;
/** Broken uploads that wait for their client at one time. */
const leftMax = 16;

/** Stores actions as Bazel does, and reads them and all that they name. */
export async function soakActions(stage: SoakStage, lane: number): Promise<void> {
  const { actions, random, counts } = stage;
  const first = lane * 1e6;
  let count = 0;
  await repeat(stage, async () => {
    if (count === 0 || random.below(3) === 0) {
      const numbers = outputsOf(first + count);
      await actions.upload(await actions.missing(numbers));
      await actions.putResult(first + count, numbers);
      count += 1;
      counts.add("action stored");
      return;
    }
    const action = first + Math.max(0, count - 1 - random.below(knownActionsMax));
    const numbers = outputsOf(action);
    if (!(await actions.hasResult(action, numbers))) {
      counts.add("action missed");
      return;
    }
    const absent = await actions.unreadable(numbers);
    if (absent.length > 0) throw new Error(`A served result names ${absent.length} absent blobs`);
    counts.add("action read");
  });
}

function outputsOf(action: number): number[] {
  return Array.from({ length: blobsPerAction }, (_, i) => action * blobsPerAction + i);
}

/** Entries of ccache, which are deleted now and then, and of Turborepo. */
export async function soakEntries(stage: SoakStage, lane: number): Promise<void> {
  const { random, bodies, counts, node } = stage;
  const connection = openLoadConnection(node.port, answerMsMax);
  let number = lane * 1e9;
  try {
    await repeat(stage, async () => {
      const key = Buffer.from(`soak ${lane} ${random.below(200)}`).toString("hex");
      const target =
        random.below(2) === 0 ? `/ccache/default/soak${lane}/${key}` : `/v8/artifacts/${key}`;
      const isDelete = target.startsWith("/ccache") && random.below(4) === 0;
      const method = isDelete ? "DELETE" : random.below(2) === 0 ? "PUT" : "GET";
      const body = method === "PUT" ? bodies.make(number++, 16 + random.below(100 * KiB)) : null;
      const answer = await connection.exchange({
        method,
        target,
        ...(body === null ? {} : { body }),
      });
      const isExpected =
        answer.at === "answered" &&
        (answer.status < 300 || (method !== "PUT" && answer.status === 404));
      const said = answer.at === "lost" ? answer.reason : answer.status;
      if (!isExpected) throw new Error(`${method} ${target} was answered ${said}`);
      counts.add(method);
    });
  } finally {
    connection.close();
  }
}

/** Modules in parts; some are never completed, and the node has to remove them by itself. */
export async function soakModules(stage: SoakStage): Promise<void> {
  const { node, random, counts } = stage;
  let count = 0;
  await repeat(stage, async () => {
    const module = { hash: `soak${count++}` };
    const parts = [partBody(count, 300 * KiB), partBody(count + 1, 400 * KiB)];
    const id = await openUpload(node.url, module);
    for (const [place, body] of parts.entries()) {
      const { status } = await sendPart(node.url, { id, number: place + 1, body });
      if (status !== 204) throw new Error(`A part was answered ${status}`);
    }
    if (random.below(3) === 0) {
      counts.add("module left");
      return;
    }
    const done = await completeModule(node.url, { id, document: { parts: [1, 2] } });
    if (done.status !== 204) throw new Error(`A module was answered ${done.status}`);
    const got = await getModule(node.url, module);
    const isWhole = (await got.arrayBuffer()).byteLength === 700 * KiB;
    if (got.status !== 200 || !isWhole) throw new Error(`A module was read as ${got.status}`);
    counts.add("module");
  });
}

/** Byte streams that break off in the middle; the client comes back some time later. */
export async function soakBrokenWrites(stage: SoakStage): Promise<void> {
  const { node, random, bodies, counts } = stage;
  using client = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
  const left: { name: string; body: Buffer }[] = [];
  let number = 5e12;
  // Under the name that it had: the node then forgets what it kept of the broken one.
  const begin = async ({ name, body }: { name: string; body: Buffer }): Promise<void> => {
    const { code, words } = await client.write(name, body);
    if (code !== 0) throw new Error(`A write that was begun anew ended with ${code} ${words}`);
  };
  await repeat(stage, async () => {
    const body = bodies.make(number++, 100 * KiB + random.below(3 * MiB));
    const upload = { name: nameOf(body), body };
    await breakOff(client.openWrite(), upload, random.below(body.length));
    counts.add("broken write");
    left.push(upload);
    if (left.length > random.below(2 * leftMax)) await begin(left.shift() ?? upload);
  });
  for (const upload of left) await begin(upload);
}

async function breakOff(
  write: OpenWrite,
  { name, body }: { name: string; body: Buffer },
  afterBytes: number,
): Promise<void> {
  write.send({ resourceName: name, writeOffset: 0, data: body.subarray(0, afterBytes) });
  await Bun.sleep(moveMs / 10);
  write.cancel();
  await write.ended;
}

function nameOf(body: Buffer): string {
  return `soak/uploads/${crypto.randomUUID()}/blobs/${hashOf(body)}/${body.length}`;
}

/** Clients that read and write slowly, and some that go away before they are done. */
export async function soakSlowClients(stage: SoakStage, lane: number): Promise<void> {
  const { node, random, bodies, counts } = stage;
  let number = 6e12 + lane * 1e9;
  await repeat(stage, async () => {
    const path = `/v1/cache/slow${number}`;
    const body = bodies.make(number++, MiB + random.below(2 * MiB));
    const upload = await slowUpload({ port: node.port, path, body, overMs: 500 });
    const isUploaded = await moveOn(upload, () => stage.isOver() || random.below(60) === 0);
    counts.add(isUploaded ? "slow upload" : "slow upload left");
    if (!isUploaded) return;
    const download = await slowDownload(node.port, Array(slowAnswers).fill(path));
    let moves = 0;
    const isRead = await moveOn(download, () => stage.isOver() || moves++ > slowMoves);
    counts.add(isRead ? "slow download" : "slow download left");
  });
}

/** False when the client was closed before it had ended. */
async function moveOn(
  client: Awaited<ReturnType<typeof slowUpload>>,
  isLeft: () => boolean,
): Promise<boolean> {
  try {
    while (!client.isEnded() && !isLeft()) {
      client.move();
      await Bun.sleep(moveMs);
    }
    if (!client.isEnded()) return false;
    const answers = await client.ended;
    // It may have been evicted before the last answer began.
    const bad = answers.find(({ status }) => status !== 200 && status !== 404);
    if (bad !== undefined) throw new Error(`A slow client was answered ${bad.status}: ${bad.text}`);
    return true;
  } finally {
    client.close();
  }
}

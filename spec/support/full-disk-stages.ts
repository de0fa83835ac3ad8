import { expect } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { KiB, MiB, minute, second } from "../../runtime/base/units.ts";
import {
  everyUpload,
  exchange,
  readBody,
  type TimedAnswer,
  timedExchange,
  type Upload,
} from "./every-upload.ts";
import { makeContent } from "./load-surface.ts";
import {
  completeModule,
  getModule,
  openUpload,
  partBody,
  sendPart,
  startModule,
} from "./module-client.ts";
import { type NodeProcess, until } from "./node-process.ts";
import { connect, head, type RawConnection } from "./raw-http.ts";
import { digestOf, ReapiClient } from "./reapi-client.ts";
import type { SmallDisk } from "./small-disk.ts";

const refusalMsMax = 1 * second;
const resumeMsMax = 5 * second;
const strayMsMax = 1 * minute;
const resourceExhausted = 8;
const groupRounds = 8;

/** A node on a small disk, and what must be read from it whatever happens. */
export type Stage = {
  readonly node: NodeProcess;
  readonly disk: SmallDisk;
  /** Makes names that were never used. */
  readonly name: string;
  readonly known: Map<string, Uint8Array>;
  /** Files that stay in `large/` and `parts/`. */
  readonly kept: { large: number; parts: number };
};

/** What is done to a full disk; each fills it at the moment that matters. */
export const stages: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  "small uploads of every surface": refuseSmall,
  "large uploads in the middle of their bodies": refuseMidBody,
  "uploads in parts, at every step": refuseParts,
  "blobs and action results over gRPC": refuseGrpc,
  "writes at the edge, of which some fit": refuseAtTheEdge,
  "cleans and deletes": cleanAndDelete,
  "groups in the middle of their writes": fillDuringGroups,
};

/** Puts one body of each size by each surface. */
export async function putKnown({ node, known, name, kept }: Stage): Promise<void> {
  for (const sizeBytes of [100, 300 * KiB])
    await putAll(node, known, `${name}-${sizeBytes}`, sizeBytes);
  await putLarge({ node, known, name, kept });
}

async function putAll(
  node: NodeProcess,
  known: Map<string, Uint8Array>,
  name: string,
  sizeBytes: number,
): Promise<void> {
  for (const upload of everyUpload(name, sizeBytes)) {
    const { status } = await timedExchange(node.port, upload.request);
    if (status >= 300) throw new Error(`${upload.surface} answered ${status}`);
    known.set(upload.readAt, upload.bytes);
  }
}

async function putLarge({ node, known, name, kept }: Omit<Stage, "disk">): Promise<number> {
  const upload = uploadOf(`${name}-large`, 1_200 * KiB);
  const { status } = await timedExchange(node.port, upload.request);
  if (status === 201) {
    known.set(upload.readAt, upload.bytes);
    kept.large += 1;
  }
  return status;
}

/** Reads all that is known. @throws when one byte is not as it was put. */
export async function readKnown({ node, known }: Pick<Stage, "node" | "known">): Promise<void> {
  for (const [target, bytes] of known) {
    const found = await readBody(node.port, target);
    const isSame = found !== null && Buffer.compare(found, bytes) === 0;
    if (!isSame) throw new Error(`${target}: got ${found?.length ?? "no"} bytes that differ`);
  }
}

/** Space is back: writes go on at once, and nothing of what was refused is left. */
export async function resume(stage: Stage): Promise<void> {
  stage.disk.release();
  let number = 0;
  const isWriting = async (): Promise<boolean> => {
    number += 1;
    const name = `${stage.name}-back${number}`;
    const small = uploadOf(name, 100);
    const { status } = await timedExchange(stage.node.port, small.request);
    if (status === 201) stage.known.set(small.readAt, small.bytes);
    return status === 201 && (await putLarge({ ...stage, name })) === 201;
  };
  await until("writes going on once there is space", isWriting, resumeMsMax);
  await until("strays gone", () => strays(stage) === "", strayMsMax).catch((error) => {
    throw new Error(`${String(error)}: ${strays(stage)}`);
  });
}

function strays({ node, kept }: Stage): string {
  const count = (folder: string): number => {
    const place = path.join(node.dataDir, folder);
    return fs.existsSync(place) ? fs.readdirSync(place).length : 0;
  };
  const found = [count("large"), count("parts"), count("tmp")];
  const wanted = [kept.large, kept.parts, 0];
  return String(found) === String(wanted) ? "" : `large, parts, tmp: ${found}, wanted ${wanted}`;
}

/** A Gradle artifact: the surface without rules of its own. */
function uploadOf(name: string, sizeBytes: number): Upload {
  const found = everyUpload(name, sizeBytes).find(({ surface }) => surface === "gradle");
  if (found === undefined) throw new Error("Gradle is a surface");
  return found;
}

async function clean(node: NodeProcess, namespace: string): Promise<TimedAnswer> {
  const target = `/api/cache/clean?tenant_id=default&namespace_id=${namespace}`;
  return await timedExchange(node.port, { method: "DELETE", target });
}

async function expectRefused({ node }: Stage, upload: Upload): Promise<void> {
  const answer = await timedExchange(node.port, upload.request);
  expect(`${upload.surface} ${answer.status}`).toBe(`${upload.surface} ${upload.refusedStatus}`);
  expect(answer.ms).toBeLessThan(refusalMsMax);
  if (upload.surface === "nx") expect(answer.contentType).toStartWith("text/plain");
  expect(await readBody(node.port, upload.readAt)).toBe(null);
}

async function refuseSmall(stage: Stage): Promise<void> {
  stage.disk.fill(0);
  for (const sizeBytes of [100, 300 * KiB, 3 * MiB]) {
    const uploads = everyUpload(`${stage.name}-refused${sizeBytes}`, sizeBytes);
    for (const upload of uploads) {
      const isTooLong = upload.surface === "keyvalue" && sizeBytes > MiB / 2;
      if (!isTooLong) await expectRefused(stage, upload);
    }
  }
}

/** An upload of 8 MiB whose first 3 MiB have gone out. */
type Begun = {
  readonly upload: Upload;
  readonly connection: RawConnection;
  readonly rest: Uint8Array;
};

const bodyBytes = 8 * MiB;
const sentBytes = 3 * MiB;

async function begin(node: NodeProcess, upload: Upload, isChunked: boolean): Promise<Begun> {
  const connection = await connect(node.port);
  const { method, target, body = new Uint8Array(0) } = upload.request;
  const framing = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`;
  await connection.send(head(`${method} ${target}`, framing));
  const frame = (bytes: Uint8Array): Uint8Array =>
    isChunked
      ? Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")])
      : bytes;
  await connection.send(frame(body.subarray(0, sentBytes)));
  const end = isChunked ? Buffer.from("0\r\n\r\n") : new Uint8Array(0);
  return { upload, connection, rest: Buffer.concat([frame(body.subarray(sentBytes)), end]) };
}

async function refuseMidBody(stage: Stage): Promise<void> {
  const { node, disk, kept } = stage;
  const uploads = everyUpload(`${stage.name}-half`, bodyBytes).filter(({ surface }) =>
    ["gradle", "nx", "bazel blob"].includes(surface),
  );
  const begun: Begun[] = [];
  for (const upload of uploads) {
    for (const isChunked of [false, true]) {
      // One after the other: all together would not fit even if they were taken.
      begun.push(await begin(node, upload, isChunked));
      await until("bytes on disk", () => largeBytes(node) >= (kept.large + 1) * MiB);
      disk.fill(0);
      await expectCut(stage, begun.at(-1)!);
      disk.release();
    }
  }
}

async function expectCut({ node }: Stage, { upload, connection, rest }: Begun): Promise<void> {
  const startMs = performance.now();
  void connection.send(rest);
  const { status } = await connection.answer();
  expect(`${upload.surface} ${status}`).toBe(`${upload.surface} ${upload.refusedStatus}`);
  expect(performance.now() - startMs).toBeLessThan(refusalMsMax);
  connection.destroy();
  expect(await readBody(node.port, upload.readAt)).toBe(null);
}

function largeBytes({ dataDir }: NodeProcess): number {
  const folder = path.join(dataDir, "large");
  const sizes = fs.readdirSync(folder).map((name) => fs.statSync(path.join(folder, name)).size);
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function refuseParts(stage: Stage): Promise<void> {
  const { node, disk, kept } = stage;
  const module = { hash: stage.name, tenant: "default", namespace: "full" };
  const id = await openUpload(node.url, module);
  const parts = [1, 2].map((number) => partBody(number, 1_500 * KiB));
  const send = async (number: number): Promise<number> => {
    const body = parts[number - 1] ?? new Uint8Array(0);
    return await timed(() => sendPart(node.url, { id, number, body }));
  };
  const complete = (): Promise<number> =>
    timed(() => completeModule(node.url, { id, document: { parts: [1, 2] } }));
  expect(await send(1)).toBe(204);

  disk.fill(0);
  expect(await timed(() => startModule(node.url, { ...module, hash: `${stage.name}-b` }))).toBe(
    507,
  );
  expect(await send(2)).toBe(507);
  disk.release();
  await until("parts taken again", async () => (await send(2)) === 204, resumeMsMax);

  disk.fill(0);
  expect(await complete()).toBe(507);
  expect((await getModule(node.url, module)).status).toBe(404);
  disk.release();
  await until("completed at last", async () => (await complete()) === 204, resumeMsMax);
  kept.large += 1;
  const found = Buffer.from(await (await getModule(node.url, module)).arrayBuffer());
  expect(Buffer.compare(found, Buffer.concat(parts))).toBe(0);
}

/** The status of an answer that has to come within a second. */
async function timed(ask: () => Promise<Response>): Promise<number> {
  const startMs = performance.now();
  const answer = await ask();
  await answer.arrayBuffer();
  expect(performance.now() - startMs).toBeLessThan(refusalMsMax);
  return answer.status;
}

async function refuseGrpc(stage: Stage): Promise<void> {
  const { node, disk, name, kept } = stage;
  using client = new ReapiClient(`127.0.0.1:${node.grpcPort}`);

  const half = makeContent(`${name}-stream`, bodyBytes);
  const write = client.openWrite();
  const resourceName = blobPath(half, "uploads/0a");
  write.send({ resourceName, writeOffset: 0, data: half.subarray(0, sentBytes) });
  await until("bytes on disk", () => largeBytes(node) >= (kept.large + 1) * MiB);
  disk.fill(0);

  const startMs = performance.now();
  write.send({ writeOffset: sentBytes, data: half.subarray(sentBytes), finishWrite: true });
  write.finish();
  expect((await write.ended).code).toBe(resourceExhausted);
  const small = [100, 100 * KiB].map((size) => makeContent(`${name}-batch${size}`, size));
  const batch = await client.call<{ responses: { status: { code: number } | null }[] }>(
    "ContentAddressableStorage/BatchUpdateBlobs",
    {
      instanceName: "full",
      requests: small.map((data) => ({ digest: digestOf(data), data })),
    },
  );
  const codes = batch.value.responses.map(({ status }) => status?.code ?? 0);
  expect([batch.code, ...codes]).toEqual([0, resourceExhausted, resourceExhausted]);
  for (const size of [200, 3 * MiB]) {
    const bytes = makeContent(`${name}-blob${size}`, size);
    expect((await client.write(blobPath(bytes, "uploads/0b"), bytes)).code).toBe(resourceExhausted);
  }
  const action = await client.call("ActionCache/UpdateActionResult", {
    instanceName: "full",
    actionDigest: digestOf(makeContent(`${name}-action`, 10)),
    actionResult: { exitCode: 0, stdoutRaw: Buffer.from("ok") },
  });
  expect(action.code).toBe(resourceExhausted);
  // Five calls, each of which has a second.
  expect(performance.now() - startMs).toBeLessThan(5 * refusalMsMax);

  const missing = await client.call<{ missingBlobDigests: unknown[] }>(
    "ContentAddressableStorage/FindMissingBlobs",
    { instanceName: "full", blobDigests: [...small, half].map((bytes) => digestOf(bytes)) },
  );
  expect(missing.value.missingBlobDigests).toHaveLength(3);
}

function blobPath(bytes: Uint8Array, before: string): string {
  const { hash, sizeBytes } = digestOf(bytes);
  return `full/${before}/blobs/${hash}/${sizeBytes}`;
}

/** 64 writers meet the end of the space: each is told the truth. */
async function refuseAtTheEdge(stage: Stage): Promise<void> {
  const { node, disk, known } = stage;
  disk.fill(8 * MiB);
  const uploads = Array.from({ length: 64 }, (_, i) =>
    uploadOf(`${stage.name}-edge${i}`, 200 * KiB),
  );
  const answers = await Promise.all(
    uploads.map((upload) => timedExchange(node.port, upload.request)),
  );
  for (const [i, { status }] of answers.entries()) {
    const { readAt, bytes } = uploads[i]!;
    expect([201, 507]).toContain(status);
    if (status === 201) known.set(readAt, bytes);
    else expect(await readBody(node.port, readAt)).toBe(null);
  }
  expect(answers.some(({ status }) => status === 507)).toBe(true);
}

/**
 * All space goes while groups of many MiB are written: whoever was told of success has it, nobody has a half. Every
 * round cleans up behind itself: all rounds together are more than the capacity, and what is known must not be evicted.
 */
async function fillDuringGroups(stage: Stage): Promise<void> {
  const { node, disk, known, name } = stage;
  const told = new Map<string, number>();
  for (let round = 0; round < groupRounds; round++) {
    const uploads = Array.from({ length: 12 }, (_, i) => ({
      readAt: `/cache/default/groups/${i}`,
      bytes: makeContent(`${name}-g${round}-${i}`, 900 * KiB),
    }));
    const exchanges = uploads.map(({ readAt: target, bytes: body }) =>
      exchange(node.port, { request: { method: "PUT", target, body } }),
    );
    await Bun.sleep(round);
    disk.fill(0);
    for (const [i, one] of (await Promise.all(exchanges)).entries()) {
      const { readAt, bytes } = uploads[i]!;
      const status = one.at === "answered" ? String(one.status) : "cut";
      told.set(status, (told.get(status) ?? 0) + 1);
      expect(["201", "507", "cut"]).toContain(status);
      const found = await readBody(node.port, readAt);
      if (status === "201" || found !== null) {
        expect(Buffer.compare(found ?? new Uint8Array(0), bytes)).toBe(0);
      }
    }
    expect((await fetch(`${node.url}/ready`)).status).toBe(200);
    disk.release();
    await until(
      "writes going on",
      async () => {
        const small = uploadOf(`${name}-r${round}`, 100);
        const { status } = await timedExchange(node.port, small.request);
        if (status === 201) known.set(small.readAt, small.bytes);
        return status === 201 || status === 200;
      },
      resumeMsMax,
    );
    expect(await clean(node, "groups")).toMatchObject({ status: 204 });
  }
  console.log(`writers were told: ${JSON.stringify([...told])}`);
  disk.fill(0);
}

/** With a little room they go on while puts do not; with none they are refused like these, and nothing is half done. */
async function cleanAndDelete(stage: Stage): Promise<void> {
  const { node, disk, name } = stage;
  const bytes = makeContent(name, 50 * KiB);
  const target = (key: string): string => `/ccache/default/${name}/${key}`;
  for (const key of ["k1", "k2", "k3"]) {
    await timedExchange(node.port, { method: "PUT", target: target(key), body: bytes });
  }
  const remove = (key: string) =>
    timedExchange(node.port, { method: "DELETE", target: target(key) });

  disk.fill(3 * MiB);
  const put = { method: "PUT", target: target("k4"), body: bytes } as const;
  expect((await timedExchange(node.port, put)).status).toBe(507);
  expect((await remove("k1")).status).toBe(204);
  disk.fill(0);
  for (const ask of [() => remove("k2"), () => clean(node, name)]) {
    const { status, ms } = await ask();
    expect(status).toBe(507);
    expect(ms).toBeLessThan(refusalMsMax);
  }
  expect(await readBody(node.port, target("k1"))).toBe(null);
  for (const key of ["k2", "k3"])
    expect((await readBody(node.port, target(key)))?.length).toBe(bytes.length);
  disk.release();
  await until("cleaned", async () => (await clean(node, name)).status === 204, resumeMsMax);
  for (const key of ["k2", "k3"]) expect(await readBody(node.port, target(key))).toBe(null);
}

import fs from "node:fs";
import net from "node:net";
import { KiB, MiB, second } from "../../runtime/base/units.ts";
import { makeTemporaryFolder, type NodeProcess, startNode, until } from "./node-process.ts";
import { head } from "./raw-http.ts";
import { startServer } from "./server.ts";
import { mountSmallTmpfs } from "./small-disk.ts";
import { startUploadGate } from "./upload-gate.ts";

/** A server that cannot serve as it should, in one of the ways that clients meet. */
export type TroubledServer = AsyncDisposable & {
  /** Base without a slash at the end. */
  readonly url: string;
  /** Requests that were refused because of the trouble: none means that a client has not met it. */
  refusals(): Promise<number>;
};

export type Trouble = "draining" | "drained in mid-build" | "recovering" | "shedding" | "full";
export const troubles = [
  "draining",
  "drained in mid-build",
  "recovering",
  "shedding",
  "full",
] as const satisfies readonly Trouble[];

export function startTroubled(trouble: Trouble): Promise<TroubledServer> {
  switch (trouble) {
    case "draining":
      return startDraining();
    case "drained in mid-build":
      return startDrainingInMidBuild();
    case "recovering":
      return startRecovering();
    case "shedding":
      return startShedding();
    case "full":
      return startFull();
    default:
      return unknownTrouble(trouble);
  }
}

function unknownTrouble(trouble: never): never {
  throw new Error(`Cannot start a server with the trouble ${String(trouble)}`);
}

/** SIGUSR1 drains without an end: the process lives on for its probes. */
async function startDraining(): Promise<TroubledServer> {
  const node = await startNode();
  await drain(node);
  return troubled(node, node.url);
}

async function drain(node: NodeProcess): Promise<void> {
  process.kill(node.pid, "SIGUSR1");
  await until("the node drains", async () => (await fetch(`${node.url}/ready`)).status === 503);
}

/** Serves the beginning of a build, and drains from its second upload on. */
async function startDrainingInMidBuild(): Promise<TroubledServer> {
  const node = await startNode();
  const gate = await startUploadGate({ port: node.port, nth: 2, act: () => drain(node) });
  return troubled(node, gate.url, gate);
}

/** In this process, because a real recovery cannot be held; the surface and the store are the real ones. */
async function startRecovering(): Promise<TroubledServer> {
  const server = await startServer({ phase: "recovering" });
  return troubled(server, server.url);
}

/** The least memory that a node takes, and far more slow uploads than it has room for. */
async function startShedding(): Promise<TroubledServer> {
  const node = await startNode({
    env: {
      KURA_UPLOAD_MEMORY_BYTES: String(MiB),
      KURA_MAX_KEYVALUE_BYTES: String(64 * KiB),
    },
  });
  const slow = holdUploads(node.port);
  const isCrowded = async (): Promise<boolean> => {
    const waiting = await metric(node.url, (line) => line.startsWith("kura_upload_memory_waiting"));
    return waiting >= 300;
  };
  await until("300 uploads wait for memory", isCrowded, 60 * second);
  return troubled(node, node.url, slow);
}

/**
 * A new slow upload so often that 400 wait in front of whoever comes, for nearly as long as he would wait. The node ends
 * those that hold its memory after 10 s, all at about one time; only who has waited for 3.7 s by then gets in.
 */
const holdEveryMs = 10;
/** Charged in full before they come. 33 of them are all that uploads over HTTP may hold of 1 MiB: nothing is left over. */
const heldBytes = 8 * KiB;
/** No client of ours is Xcode. */
const heldLine = "POST /api/cache/cas/held?tenant_id=t&namespace_id=held";

function holdUploads(port: number): AsyncDisposable {
  const text = head(heldLine, `Content-Length: ${heldBytes}`);
  const sockets = new Set<net.Socket>();
  const hold = (): void => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(`${text}x`));
    sockets.add(socket);
    socket.on("error", () => {});
    // Whatever it is answered, it has had its turn.
    socket.on("data", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  };
  const startMs = performance.now();
  let count = 0;
  // A busy machine is late with timers: what they missed is made good.
  const timer = setInterval(() => {
    for (; count < (performance.now() - startMs) / holdEveryMs; count += 1) hold();
  }, holdEveryMs);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** On a disk that others have filled: takes nothing more, not even 100 bytes. */
async function startFull(): Promise<TroubledServer> {
  const folder = makeTemporaryFolder("troubled");
  const disk = mountSmallTmpfs(`${folder}/disk`);
  const unmount = (): void => {
    disk.unmount();
    fs.rmSync(folder, { recursive: true });
  };
  try {
    const node = await startNode({ dataDir: `${disk.path}/data` });
    disk.fill(MiB);
    const url = `${node.url}/api/cache/gradle/k?tenant_id=default&namespace_id=full`;
    const answer = await fetch(url, { method: "PUT", body: new Uint8Array(100) });
    if (answer.status !== 507) throw new Error(`Expected 507, got ${answer.status}`);
    const server = await troubled(node, node.url);
    return {
      ...server,
      async [Symbol.asyncDispose]() {
        await server[Symbol.asyncDispose]();
        unmount();
      },
    };
  } catch (error) {
    unmount();
    throw error;
  }
}

/** Counts from now on: what the preparation itself was refused is no client's trouble. */
async function troubled(
  node: AsyncDisposable & { readonly url: string },
  url: string,
  before: AsyncDisposable = { async [Symbol.asyncDispose]() {} },
): Promise<TroubledServer> {
  const earlier = await refused(node.url);
  return {
    url,
    refusals: async () => (await refused(node.url)) - earlier,
    async [Symbol.asyncDispose]() {
      await before[Symbol.asyncDispose]();
      await node[Symbol.asyncDispose]();
    },
  };
}

/** Cache requests that were answered with 429, 503 or 507, or for Nx and Metro in a softer way. */
function refused(nodeUrl: string): Promise<number> {
  return metric(nodeUrl, (line) => {
    if (/^kura_(nx|metro)_softened_total{/.test(line)) return true;
    const isRequest = line.startsWith("kura_http_requests_total{");
    const isOurs = line.includes('route="/ready"') || line.includes('route="/api/cache/cas/');
    return isRequest && /status="(429|503|507)"/.test(line) && !isOurs;
  });
}

/** Sum of the lines of the exposition that are wanted. */
async function metric(nodeUrl: string, isWanted: (line: string) => boolean): Promise<number> {
  const text = await (await fetch(`${nodeUrl}/metrics`)).text();
  const lines = text.split("\n").filter((line) => !line.startsWith("#") && isWanted(line));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

import { KiB, MiB, second } from "../../runtime/base/units.ts";
import { type NodeProcess, startNode, until } from "./node-process.ts";
import { connect, head } from "./raw-http.ts";
import { startServer } from "./server.ts";
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

/** One upload of the whole upload memory that comes slowly, but not slowly enough to be cut. */
async function startShedding(): Promise<TroubledServer> {
  const budgetBytes = 16 * MiB;
  const node = await startNode({
    env: {
      KURA_UPLOAD_MEMORY_BYTES: String(budgetBytes),
      KURA_MAX_KEYVALUE_BYTES: String(budgetBytes),
    },
  });
  const upload = await connect(node.port);
  // A key-value document is parsed in memory: when its length is unknown, all that it may become is taken at once.
  const line = "PUT /api/cache/keyvalue?tenant_id=default&namespace_id=held";
  await upload.send(head(line, "Transfer-Encoding: chunked"));
  const chunk = `${(32 * KiB).toString(16)}\r\n${" ".repeat(32 * KiB)}\r\n`;
  const trickle = setInterval(() => void upload.send(chunk), second);
  const disposeUpload = async (): Promise<void> => {
    clearInterval(trickle);
    upload.destroy();
  };
  await until("the upload memory is used up", async () => {
    const usedBytes = await metric(node.url, (line) =>
      line.startsWith("kura_upload_memory_used_bytes"),
    );
    return usedBytes === budgetBytes;
  });
  return troubled(node, node.url, { [Symbol.asyncDispose]: disposeUpload });
}

/** Takes nothing more, not even 100 bytes. */
async function startFull(): Promise<TroubledServer> {
  const node = await startNode({ env: { KURA_CAS_CAPACITY_BYTES: String(1 * MiB) } });
  let count = 0;
  for (const sizeBytes of [50 * KiB, 5 * KiB, 100]) {
    for (let isStored = true; isStored; count++) {
      const url = `${node.url}/api/cache/gradle/k${count}?tenant_id=default&namespace_id=full`;
      const answer = await fetch(url, { method: "PUT", body: new Uint8Array(sizeBytes) });
      isStored = answer.status === 201;
      if (!isStored && answer.status !== 507) throw new Error(`Expected 507, got ${answer.status}`);
    }
  }
  return troubled(node, node.url);
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
    return isRequest && /status="(429|503|507)"/.test(line) && !line.includes('route="/ready"');
  });
}

/** Sum of the lines of the exposition that are wanted. */
async function metric(nodeUrl: string, isWanted: (line: string) => boolean): Promise<number> {
  const text = await (await fetch(`${nodeUrl}/metrics`)).text();
  const lines = text.split("\n").filter((line) => !line.startsWith("#") && isWanted(line));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

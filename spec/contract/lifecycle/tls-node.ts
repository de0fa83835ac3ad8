import tls from "node:tls";
import { type Authority, makeAuthority } from "../../support/certificates.ts";
import { freePorts, type NodeProcess, startNode, until } from "../../support/node-process.ts";
import { makePairFolder, type PairFolder } from "../../support/pair-folder.ts";
import type { RawClient } from "./raw-client.ts";

/** A node with a certificate of the common name `first`. */
export type TlsNode = AsyncDisposable & {
  readonly node: NodeProcess;
  readonly authority: Authority;
  readonly pair: PairFolder;
  readonly tlsPort: number;
  /** Base of the TLS port, without a slash at the end. */
  readonly url: string;
  /** Asks with the authority of the node, on a connection of its own. */
  fetch(target: string, init?: RequestInit): Promise<Response>;
  /** Common name of the certificate that a new connection is shown. */
  shownName(): Promise<string>;
  /** Asks the node to look at its files now. */
  hangUp(): void;
  /** One line of the exposition by its beginning, as a number; 0 when it is not there. */
  metric(beginning: string): Promise<number>;
};

export async function startTlsNode(env: Readonly<Record<string, string>> = {}): Promise<TlsNode> {
  const authority = await makeAuthority();
  const pair = makePairFolder();
  pair.put(await authority.issue({ name: "first" }));
  // All ports of the node in one draw, so that no two of them are the same.
  const [port = 0, tlsPort = 0, grpcPort = 0, internalPort = 0] = await freePorts(4);
  const ports = {
    KURA_PORT: String(port),
    KURA_HTTPS_PORT: String(tlsPort),
    KURA_GRPC_PORT: String(grpcPort),
    KURA_INTERNAL_PORT: String(internalPort),
  };
  const node = await startNode({ env: { ...ports, ...pair.env, ...env } }).catch((error) => {
    pair[Symbol.dispose]();
    throw error;
  });
  const url = `https://127.0.0.1:${tlsPort}`;
  return {
    node,
    authority,
    pair,
    tlsPort,
    url,
    fetch: (target, init = {}) =>
      fetch(`${url}${target}`, { ...init, keepalive: false, tls: { ca: authority.cert } }),
    shownName: () => shownName(tlsPort, authority),
    hangUp: () => void process.kill(node.pid, "SIGHUP"),
    async metric(beginning) {
      const lines = (await (await fetch(`${node.url}/metrics`)).text()).split("\n");
      const line = lines.find((one) => one.startsWith(beginning));
      return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(" ") + 1));
    },
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      pair[Symbol.dispose]();
    },
  };
}

/** A connection that is opened while the certificate changes may be reset, so a second one is tried. */
async function shownName(port: number, authority: Authority): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      using client = await connectTls(port, authority);
      return client.name;
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
}

/** A TLS client that sends and reads at its own pace. */
export type TlsClient = RawClient & {
  /** Common name of the certificate that the server has shown. */
  readonly name: string;
  readonly protocol: string;
  isClosed(): boolean;
};

export async function connectTls(port: number, authority: Authority): Promise<TlsClient> {
  const socket = tls.connect({ host: "127.0.0.1", port, ca: authority.cert });
  const chunks: Buffer[] = [];
  let isClosed = false;
  socket.on("data", (chunk: Buffer) => chunks.push(Buffer.from(chunk)));
  await new Promise<void>((resolve, reject) => {
    socket.once("secureConnect", resolve);
    socket.once("error", reject);
  });
  // A node that cuts us is a case under test, not an error of the test.
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      isClosed = true;
      resolve();
    });
  });
  return {
    name: String(socket.getPeerCertificate().subject.CN),
    protocol: socket.getProtocol() ?? "none",
    send: (bytes) => void socket.write(bytes),
    received: () => Buffer.concat(chunks),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    isClosed: () => isClosed,
    closed,
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

/** Waits until the node has written this into its log. */
export function untilLogged(node: NodeProcess, message: string, times = 1): Promise<void> {
  return until(`the log says ${message}`, () => countLogged(node, message) >= times);
}

export function countLogged(node: NodeProcess, message: string): number {
  return node.stderr().split(`"message":"${message}"`).length - 1;
}

import net from "node:net";

/** Stands before a node and watches for uploads. */
export type UploadGate = AsyncDisposable & {
  /** Base without a slash at the end. */
  readonly url: string;
  /** Resolves when `act` has been done. */
  readonly acted: Promise<void>;
};

const putBytes = Buffer.from("PUT ");
/** A node that hangs up closes its own side and reads on for a while: the gate must do the same to the client. */
const halfOpen = { allowHalfOpen: true } as const;

/**
 * Passes connections on to a port of the loopback. When the `nth` upload begins, it is held, and passed on when `act`
 * is done: whatever that does to the node meets a client in the middle of its build. A node that is gone afterwards is
 * gone to the client in the same way: open connections end, new ones are refused.
 */
export async function startUploadGate(options: {
  port: number;
  nth: number;
  act: () => Promise<void> | void;
}): Promise<UploadGate> {
  const { promise: acted, resolve, reject } = Promise.withResolvers<void>();
  const sockets = new Set<net.Socket>();
  let uploads = 0;
  let hasActed = false;
  const gate = net.createServer(halfOpen, (client) => {
    const node = net.connect({ port: options.port, host: "127.0.0.1", ...halfOpen });
    join(client, node, sockets);
    // What is refused behind the gate is refused at the gate from now on.
    node.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") gate.close();
    });
    // Clients write a head at once and never send a request before the last answer, so a head begins a chunk.
    client.on("data", (chunk: Buffer) => {
      if (chunk.subarray(0, putBytes.length).equals(putBytes)) uploads += 1;
      if (hasActed || uploads < options.nth) {
        node.write(chunk);
        return;
      }
      hasActed = true;
      client.pause();
      Promise.resolve(options.act()).then(resolve, reject);
      acted.then(() => {
        node.write(chunk);
        client.resume();
      }, reject);
    });
  });
  await new Promise<void>((listening) => {
    gate.listen(0, "127.0.0.1", listening);
  });
  const { port } = gate.address() as net.AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    acted,
    async [Symbol.asyncDispose]() {
      gate.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Passes on what the node says, and the end and the breaking off of either side. Neither side's errors are ours. */
function join(client: net.Socket, node: net.Socket, sockets: Set<net.Socket>): void {
  node.on("data", (chunk: Buffer) => void client.write(chunk));
  for (const [socket, other] of [
    [client, node],
    [node, client],
  ] as const) {
    sockets.add(socket);
    socket.on("end", () => other.end());
    socket.on("error", () => other.destroy());
    socket.on("close", () => sockets.delete(socket));
  }
}

import net from "node:net";

/** A way to a port on which everything takes its time, in both directions, and as much fits as anybody likes. */
export type DelayProxy = AsyncDisposable & { readonly port: number };

/** `delayMs`: of one direction; a question and its answer take twice as long. */
export async function startDelayProxy(targetPort: number, delayMs: number): Promise<DelayProxy> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((near) => {
    const far = net.connect({ host: "127.0.0.1", port: targetPort });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      // Timers of one delay fire in the order in which they were set.
      from.on("data", (bytes: Buffer) => void setTimeout(() => writeOpen(to, bytes), delayMs));
      from.on("end", () => void setTimeout(() => to.end(), delayMs));
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        setTimeout(() => to.destroy(), delayMs);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The proxy has no port");
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function writeOpen(socket: net.Socket, bytes: Buffer): void {
  if (!socket.destroyed) socket.write(bytes);
}

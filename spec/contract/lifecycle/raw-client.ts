import net from "node:net";

/** A client that sends and reads at its own pace, as slow networks do. */
export type RawClient = {
  send(bytes: string | Uint8Array): void;
  /** Everything that came so far. */
  received(): Buffer;
  pause(): void;
  resume(): void;
  /** Resolves when the server has closed the connection. */
  readonly closed: Promise<void>;
  [Symbol.dispose](): void;
};

export async function connectRaw(port: number): Promise<RawClient> {
  const socket = net.connect(port, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(Buffer.from(chunk)));
  // A node that cuts us is a case under test, not an error of the test.
  socket.on("error", () => {});
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return {
    send: (bytes) => void socket.write(bytes),
    received: () => Buffer.concat(chunks),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    closed: new Promise((resolve) => socket.once("close", () => resolve())),
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** Head of an upload whose body follows in pieces. */
export function uploadHead(path: string, lengthBytes: number): string {
  const lines = [`PUT ${path} HTTP/1.1`, "Host: kura", `Content-Length: ${lengthBytes}`, "", ""];
  return lines.join("\r\n");
}

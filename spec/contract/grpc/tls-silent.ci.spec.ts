import { expect, test } from "bun:test";
import net from "node:net";
import { second } from "../../../runtime/base/units.ts";
import { makeAuthority } from "../../support/certificates.ts";
import { startNode } from "../../support/node-process.ts";
import { makePairFolder } from "../../support/pair-folder.ts";

/** Resolves when the server has ended a connection on which this was all that was said. */
function endOf(port: number, words: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(words));
    socket.on("error", () => {});
    socket.on("close", () => resolve());
  });
}

test(
  "clients that never shake hands, or speak something else, are ended",
  async () => {
    const authority = await makeAuthority();
    using pair = makePairFolder();
    pair.put(await authority.issue({ name: "first" }));
    const env = { KURA_GRPC_TLS_CERT_PATH: pair.certPath, KURA_GRPC_TLS_KEY_PATH: pair.keyPath };
    await using node = await startNode({ env });
    await Promise.all([
      endOf(node.grpcPort, ""),
      endOf(node.grpcPort, "GET / HTTP/1.1\r\n\r\n"),
      endOf(node.grpcPort, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ]);
    expect((await fetch(`${node.url}/ready`)).status).toBe(200);
  },
  30 * second,
);

import { expect, test } from "bun:test";
import path from "node:path";
import { startNode, until } from "../../support/node-process.ts";
import { scratch } from "./run.ts";

test.each([
  ["stderr", "2>"],
  ["stdout", ">"],
])(
  "a node whose %s nobody reads any more goes on serving and ends well",
  async (_, redirection) => {
    using made = scratch();
    const pipe = path.join(made.folder, "pipe");
    // The reader opens the pipe, so that the node can, and is gone before the node has begun.
    const script = `mkfifo '${pipe}'; : < '${pipe}' & exec ${redirection}'${pipe}'; wait; exec "$0" "$@"`;
    // A name that is unknown is a line of the log at the start.
    await using node = await startNode({ launcher: ["sh", "-c", script], env: { KURA_PROT: "1" } });
    const url = `${node.url}/api/cache/gradle/a?tenant_id=t`;
    expect((await fetch(url, { method: "PUT", body: "x" })).status).toBe(201);
    expect(await (await fetch(url)).text()).toBe("x");
    // The drain is told in the log too.
    process.kill(node.pid, "SIGUSR1");
    await until("the node drains", async () => (await fetch(`${node.url}/ready`)).status === 503);
    expect((await fetch(`${node.url}/up`)).status).toBe(200);
    expect(await node.stop()).toBe(0);
  },
);

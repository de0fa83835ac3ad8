import { expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { systemClock } from "../../../../runtime/base/clock.ts";
import { systemRandom } from "../../../../runtime/base/random.ts";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { createLog } from "../../../../runtime/observe/log.ts";
import {
  claimAdminSocket,
  dropAdminSocket,
  findAdminSocket,
} from "../../../../runtime/server/admin-socket.ts";
import { listenAdmin } from "../../../../runtime/server/listeners.ts";
import { makeTemporaryFolder } from "../../../support/node-process.ts";

function makeFolder(name = "") {
  const root = makeTemporaryFolder("admin-spec");
  const folder = path.join(root, name);
  fs.mkdirSync(folder, { recursive: true });
  const dispose = () => fs.rmSync(root, { recursive: true, force: true });
  return { folder, [Symbol.dispose]: dispose };
}

function serve(folder: string) {
  const socketPath = claimAdminSocket({ disk: realDisk, random: systemRandom, dataDir: folder });
  const answer = () => new Response("here");
  const log = createLog({ clock: systemClock, level: "info", repeatWindowMs: 0, write: () => {} });
  return { socketPath, server: listenAdmin(socketPath, answer, log) };
}

const ask = async (unix: string) => (await fetch("http://kura/", { unix })).text();

test("the socket lies in the data directory and only its owner may use it", async () => {
  using made = makeFolder();
  const { socketPath, server } = serve(made.folder);
  expect(socketPath).toBe(path.join(made.folder, "admin.sock"));
  expect(fs.statSync(socketPath).mode & 0o777).toBe(0o600);
  expect(await ask(findAdminSocket(realDisk, made.folder))).toBe("here");
  await server.stop(true);
});

test("a socket that a killed node left behind is replaced", async () => {
  using made = makeFolder();
  // Bun removes a socket that it closes; a hard link keeps the name alive, as a kill does.
  const first = serve(made.folder);
  fs.linkSync(first.socketPath, `${first.socketPath}.kept`);
  await first.server.stop(true);
  fs.renameSync(`${first.socketPath}.kept`, first.socketPath);
  const second = serve(made.folder);
  expect(await ask(second.socketPath)).toBe("here");
  await second.server.stop(true);
});

test("a data directory with a long path gets a short socket, found by a pointer file", async () => {
  using made = makeFolder("x".repeat(120));
  const { socketPath, server } = serve(made.folder);
  expect(Buffer.byteLength(socketPath)).toBeLessThanOrEqual(107);
  expect(fs.statSync(socketPath).mode & 0o777).toBe(0o600);
  expect(findAdminSocket(realDisk, made.folder)).toBe(socketPath);
  expect(await ask(socketPath)).toBe("here");

  const next = serve(made.folder);
  expect(fs.existsSync(socketPath)).toBe(false);
  await server.stop(true);
  await next.server.stop(true);
  dropAdminSocket(realDisk, made.folder);
  expect(fs.existsSync(next.socketPath)).toBe(false);
  expect(fs.readdirSync(made.folder)).toEqual([]);
});

import { expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { systemClock } from "../../../../runtime/base/clock.ts";
import { createLog } from "../../../../runtime/observe/log.ts";
import { listenAdmin } from "../../../../runtime/server/listeners.ts";

test("an admin route may take longer to answer than Bun's usual 10 s", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kura-admin-"));
  const socket = path.join(folder, "admin.sock");
  const log = createLog({ clock: systemClock, level: "error", repeatWindowMs: 0, write: () => {} });
  const slow = async (): Promise<Response> => {
    await Bun.sleep(13_000);
    return new Response("counted");
  };
  const server = listenAdmin(socket, slow, log);
  const answer = await fetch("http://kura/", { unix: socket });
  expect(await answer.text()).toBe("counted");
  server.stop(true);
  fs.rmSync(folder, { recursive: true, force: true });
});

import { expect, test } from "bun:test";
import fs from "node:fs";
import tls from "node:tls";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { second } from "../../../../runtime/base/units.ts";
import { loadConfig } from "../../../../runtime/config/load.ts";
import { findMachine } from "../../../../runtime/config/machine.ts";
import { createLog } from "../../../../runtime/observe/log.ts";
import { Metrics } from "../../../../runtime/observe/metrics.ts";
import { PublicTls } from "../../../../runtime/server/public-tls.ts";
import { ConnectionLimit } from "../../../../runtime/wire/connection-limit.ts";
import { type Answer, noBody } from "../../../../runtime/wire/http1/answer.ts";
import { type Authority, makeAuthority } from "../../../support/certificates.ts";
import { makePairFolder, type PairFolder } from "../../../support/pair-folder.ts";
import { SteppedClock } from "../../../support/server.ts";

type Watched = Disposable & {
  readonly publicTls: PublicTls;
  readonly authority: Authority;
  readonly pair: PairFolder;
  readonly clock: SteppedClock;
  readonly logLines: readonly string[];
  reloads(): Promise<string[]>;
  shownName(): Promise<string>;
};

/** The listener in this process, with time that is stepped. */
async function watch(): Promise<Watched> {
  const authority = await makeAuthority();
  const pair = makePairFolder();
  pair.put(await authority.issue({ name: "first", notBeforeMs: 0 }));
  const env = { ...pair.env, KURA_HTTPS_PORT: "0", KURA_DATA_DIR: pair.folder };
  const { config } = loadConfig({ env, machine: findMachine(realDisk) });
  const clock = new SteppedClock();
  const logLines: string[] = [];
  const write = (line: string): void => void logLines.push(line);
  const log = createLog({ clock, level: "info", repeatWindowMs: 0, write });
  const node = { tenant: "t", region: "r", version: "0" };
  const metrics = new Metrics({ routes: [], artifacts: [], node, isInsecure: false });
  const publicTls = new PublicTls({ config, disk: realDisk, clock, log, metrics });
  publicTls.load();
  const answer = (): Answer => ({ status: 200, headers: {}, body: noBody });
  const limit = new ConnectionLimit(1_000);
  publicTls.listen({ config, clock, limit, handler: { handle: answer, refuse: answer } });
  return {
    publicTls,
    authority,
    pair,
    clock,
    logLines,
    async reloads() {
      const lines = (await metrics.render()).split("\n");
      return lines.filter((line) => line.startsWith("kura_public_tls_reloads_total"));
    },
    shownName: () =>
      new Promise((resolve, reject) => {
        const options = { host: "127.0.0.1", port: publicTls.port, ca: authority.cert };
        const socket = tls.connect(options, () => {
          resolve(String(socket.getPeerCertificate().subject.CN));
          socket.destroy();
        });
        socket.on("error", reject);
      }),
    [Symbol.dispose]() {
      publicTls.stop(true);
      pair[Symbol.dispose]();
    },
  };
}

test("the files are looked at every 5 s, and the same ones change nothing", async () => {
  using watched = await watch();
  watched.clock.step(60 * second);
  expect(watched.logLines).toEqual([]);
  watched.pair.put(await watched.authority.issue({ name: "second", notBeforeMs: 0 }));
  watched.clock.step(4 * second);
  expect(await watched.reloads()).toEqual([]);
  watched.clock.step(1 * second);
  expect(await watched.reloads()).toEqual(['kura_public_tls_reloads_total{result="ok"} 1']);
  watched.clock.step(1 * second);
  expect(await watched.shownName()).toBe("second");
  expect(watched.logLines).toHaveLength(1);
  expect(watched.logLines[0]).toContain("CN=second");
});

test("a refused pair is told once however often it is seen, again on a signal, and anew when it changes", async () => {
  using watched = await watch();
  const { certPath, keyPath } = watched.pair;
  const { key } = await watched.authority.issue({ name: "other", notBeforeMs: 0 });
  const first = fs.readFileSync(keyPath, "utf8");
  fs.writeFileSync(keyPath, key);
  watched.clock.step(60 * second);
  expect(watched.logLines).toHaveLength(1);
  watched.publicTls.reload();
  expect(watched.logLines).toHaveLength(2);
  fs.rmSync(certPath);
  watched.clock.step(60 * second);
  expect(watched.logLines).toHaveLength(3);
  expect(await watched.reloads()).toEqual(['kura_public_tls_reloads_total{result="refused"} 3']);
  expect(await watched.shownName()).toBe("first");
  expect(watched.logLines.join()).not.toContain(first.split("\n")[1] ?? "");
});

test("a change that is taken back is none, and the same bad one later is told again", async () => {
  using watched = await watch();
  const { keyPath } = watched.pair;
  const good = fs.readFileSync(keyPath, "utf8");
  for (const text of ["bad", good, "bad", good]) {
    fs.writeFileSync(keyPath, text);
    watched.clock.step(10 * second);
  }
  expect(watched.logLines).toHaveLength(2);
  expect(await watched.reloads()).toEqual(['kura_public_tls_reloads_total{result="refused"} 2']);
});

test("after the end nothing is looked at and nothing listens", async () => {
  using watched = await watch();
  const { port } = watched.publicTls;
  watched.publicTls.stop(true);
  watched.pair.put(await watched.authority.issue({ name: "second", notBeforeMs: 0 }));
  watched.clock.step(60 * second);
  watched.publicTls.reload();
  expect(watched.logLines).toEqual([]);
  expect(watched.publicTls.pendingRequests).toBe(0);
  const again = Bun.serve({ hostname: "127.0.0.1", port, fetch: () => new Response() });
  await again.stop(true);
});

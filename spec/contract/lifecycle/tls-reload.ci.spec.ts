import { expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { KiB, MiB, second } from "../../../runtime/base/units.ts";
import { startNode, until } from "../../support/node-process.ts";
import { uploadHead } from "./raw-client.ts";
import { connectTls, countLogged, startTlsNode, type TlsNode, untilLogged } from "./tls-node.ts";

const artifact = (key: string): string => `/api/cache/gradle/${key}?tenant_id=default`;
const changed = "the public certificate was changed";
const refused = "a changed public certificate was refused; the one in use stays";

async function rename(served: TlsNode, name: string): Promise<void> {
  served.pair.put(await served.authority.issue({ name }));
}

test("a changed pair is taken without a signal, and everybody new is shown it", async () => {
  await using served = await startTlsNode();
  const before = await served.metric("kura_public_tls_certificate_expiry_seconds");
  const notAfterMs = Date.now() + 100 * 24 * 3_600 * second;
  served.pair.put(await served.authority.issue({ name: "second", notAfterMs }));
  await untilLogged(served.node, changed);
  for (let i = 0; i < 20; i++) expect(await served.shownName()).toBe("second");
  expect(await served.metric('kura_public_tls_reloads_total{result="ok"}')).toBe(1);
  const after = await served.metric("kura_public_tls_certificate_expiry_seconds");
  expect(after).toBe(Math.floor(notAfterMs / second));
  expect(after).toBeGreaterThan(before);
});

test("a slow download and a slow upload that began before a change end well", async () => {
  await using served = await startTlsNode();
  const body = Buffer.alloc(48 * MiB, "kura");
  await served.fetch(artifact("big"), { method: "PUT", body });
  using download = await connectTls(served.tlsPort, served.authority);
  download.send(`GET ${artifact("big")} HTTP/1.1\r\nHost: k\r\n\r\n`);
  await until("the download has begun", () => download.received().length > 0);
  download.pause();
  using upload = await connectTls(served.tlsPort, served.authority);
  upload.send(uploadHead(artifact("slow"), 64 * KiB));
  upload.send(body.subarray(0, 32 * KiB));
  await until("both are under way", async () => {
    return (await served.metric("kura_http_inflight_requests")) === 2;
  });

  for (const [i, name] of ["second", "third"].entries()) {
    await rename(served, name);
    served.hangUp();
    await untilLogged(served.node, changed, i + 1);
    expect(await served.shownName()).toBe(name);
  }
  upload.send(body.subarray(0, 32 * KiB));
  await until("the upload is stored", () => upload.received().toString().includes("201 Created"));
  download.resume();
  await until("the download is whole", () => download.received().length > body.length);
  const received = download.received();
  expect(received.subarray(received.indexOf("\r\n\r\n") + 4).equals(body)).toBe(true);
  expect((await (await served.fetch(artifact("slow"))).arrayBuffer()).byteLength).toBe(64 * KiB);
  expect(await served.metric("kura_http_inflight_requests")).toBe(0);
});

test("a drain after a change waits for the download of the old server", async () => {
  await using served = await startTlsNode();
  const body = Buffer.alloc(32 * MiB, "kura");
  await served.fetch(artifact("big"), { method: "PUT", body });
  using download = await connectTls(served.tlsPort, served.authority);
  download.send(`GET ${artifact("big")} HTTP/1.1\r\nHost: k\r\n\r\n`);
  await until("the download has begun", () => download.received().length > 0);
  download.pause();
  await rename(served, "second");
  served.hangUp();
  await untilLogged(served.node, changed);
  process.kill(served.node.pid, "SIGTERM");
  await until("the node drains", async () => (await served.fetch(artifact("x"))).status === 503);
  download.resume();
  expect(await served.node.exited).toBe(0);
  // What the node has handed to the network may still be on its way to us.
  await download.closed;
  const received = download.received();
  expect(received.subarray(received.indexOf("\r\n\r\n") + 4).equals(body)).toBe(true);
});

test("a connection of the old certificate ends: an idle one at once, another one with its answer", async () => {
  await using served = await startTlsNode();
  using idle = await connectTls(served.tlsPort, served.authority);
  idle.send("GET /up HTTP/1.1\r\nHost: k\r\n\r\n");
  await until("it was answered", () => idle.received().toString().includes("200 OK"));
  using busy = await connectTls(served.tlsPort, served.authority);
  busy.send(uploadHead(artifact("half"), 4));
  await until("it is under way", async () => {
    return (await served.metric("kura_http_inflight_requests")) === 1;
  });
  await rename(served, "second");
  served.hangUp();
  await untilLogged(served.node, changed);
  await idle.closed;
  busy.send("body");
  await busy.closed;
  expect(busy.received().toString()).toStartWith("HTTP/1.1 201");
  expect(busy.received().toString().toLowerCase()).toContain("connection: close");
});

test("a key that does not fit is refused once, and the pair in use stays", async () => {
  await using served = await startTlsNode();
  const [one, two] = await Promise.all(
    ["one", "two"].map((name) => served.authority.issue({ name })),
  );
  if (one === undefined || two === undefined) throw new Error("two pairs were asked for");
  served.pair.put({ cert: one.cert, key: two.key });
  await untilLogged(served.node, refused);
  expect(served.node.stderr()).toContain("not the key of the first certificate");
  expect(await served.shownName()).toBe("first");
  expect(countLogged(served.node, refused)).toBe(1);
  expect(await served.metric('kura_public_tls_reloads_total{result="refused"}')).toBe(1);

  fs.writeFileSync(served.pair.keyPath, one.key);
  await untilLogged(served.node, changed);
  expect(await served.shownName()).toBe("one");
  expect(await served.metric('kura_public_tls_reloads_total{result="ok"}')).toBe(1);
});

test("a pair that is half written is refused, and taken once it is whole", async () => {
  await using served = await startTlsNode();
  const next = await served.authority.issue({ name: "second" });
  fs.writeFileSync(served.pair.certPath, next.cert.slice(0, next.cert.length / 2));
  served.hangUp();
  await untilLogged(served.node, refused);
  expect(served.node.stderr()).toContain("is cut off");
  fs.writeFileSync(served.pair.certPath, next.cert);
  served.hangUp();
  await untilLogged(served.node, refused, 2);
  fs.writeFileSync(served.pair.keyPath, next.key);
  served.hangUp();
  await untilLogged(served.node, changed);
  expect(await served.shownName()).toBe("second");
});

test("files that vanish are refused, and the node goes on", async () => {
  await using served = await startTlsNode();
  fs.rmSync(served.pair.certPath);
  served.hangUp();
  await untilLogged(served.node, refused);
  expect(served.node.stderr()).toContain("there is no such file");
  expect(await served.shownName()).toBe("first");
});

test("a signal without a change does nothing", async () => {
  await using served = await startTlsNode();
  using client = await connectTls(served.tlsPort, served.authority);
  served.hangUp();
  await untilLogged(served.node, "the public certificate is unchanged");
  client.send("GET /up HTTP/1.1\r\nHost: k\r\n\r\n");
  await until("the answer came", () => client.received().toString().includes("200 OK"));
  expect(client.received().toString().toLowerCase()).not.toContain("connection: close");
  expect(await served.metric("kura_public_tls_reloads_total")).toBe(0);
});

test("a link that is swapped to another folder is a change, as Kubernetes makes it", async () => {
  await using served = await startTlsNode();
  const { folder, certPath, keyPath } = served.pair;
  const place = async (name: string): Promise<void> => {
    const { cert, key } = await served.authority.issue({ name });
    fs.mkdirSync(path.join(folder, name));
    fs.writeFileSync(path.join(folder, name, "cert.pem"), cert);
    fs.writeFileSync(path.join(folder, name, "key.pem"), key);
    fs.symlinkSync(name, path.join(folder, "..data-new"));
    fs.renameSync(path.join(folder, "..data-new"), path.join(folder, "..data"));
  };
  await place("second");
  for (const file of [certPath, keyPath]) {
    fs.rmSync(file);
    fs.symlinkSync(path.join("..data", path.basename(file)), file);
  }
  served.hangUp();
  await untilLogged(served.node, changed);
  expect(await served.shownName()).toBe("second");
  await place("third");
  await until("the swap is seen", async () => (await served.shownName()) === "third", 20 * second);
});

test("many changes under load all take effect, with right answers and at most a reset each", async () => {
  await using served = await startTlsNode();
  await served.fetch(artifact("a"), { method: "PUT", body: "kept" });
  const changes = 12;
  let isOver = false;
  let resets = 0;
  let answers = 0;
  const ask = async (): Promise<void> => {
    while (!isOver) {
      const answer = await served.fetch(artifact("a")).catch(() => null);
      if (answer === null) {
        resets += 1;
        continue;
      }
      expect([answer.status, await answer.text()]).toEqual([200, "kept"]);
      answers += 1;
    }
  };
  const asking = [ask(), ask()];
  for (let i = 1; i <= changes; i++) {
    await rename(served, `name${i}`);
    served.hangUp();
    await until("it is shown", async () => (await served.shownName()) === `name${i}`);
  }
  isOver = true;
  await Promise.all(asking);
  expect(answers).toBeGreaterThan(changes);
  expect(resets).toBeLessThanOrEqual(changes);
  expect(await served.metric('kura_public_tls_reloads_total{result="ok"}')).toBe(changes);
  expect(await served.node.stop()).toBe(0);
});

test("without TLS a hangup ends the node, as a closed terminal does with any program", async () => {
  await using node = await startNode();
  process.kill(node.pid, "SIGHUP");
  expect(await node.exited).toBe(129);
});

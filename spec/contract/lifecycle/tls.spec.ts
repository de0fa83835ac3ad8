import { describe, expect, test } from "bun:test";
import fs from "node:fs";
import net from "node:net";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import { makeAuthority } from "../../support/certificates.ts";
import { requireProgram } from "../../support/client-packages.ts";
import {
  accepts,
  freePorts,
  type NodeProcess,
  startNode,
  until,
} from "../../support/node-process.ts";
import { makePairFolder } from "../../support/pair-folder.ts";
import { complaints, kura, type Run, scratch } from "../cli/run.ts";
import { patterned } from "../http/dialects.ts";
import { connectTls, startTlsNode } from "./tls-node.ts";

/** Where the node says that it listens with TLS. */
function loggedUrl(node: NodeProcess): string {
  return /"tls_url":"([^"]+)"/.exec(node.stderr())?.[1] ?? "";
}

const artifact = (key: string): string => `/api/cache/gradle/${key}?tenant_id=default`;

describe("the TLS port", () => {
  test("stores and serves bodies of all sizes, whole and in part", async () => {
    await using served = await startTlsNode();
    for (const sizeBytes of [0, KiB, 64 * KiB, 2 * MiB, 20 * MiB]) {
      const body = patterned(sizeBytes);
      const target = artifact(`size${sizeBytes}`);
      expect((await served.fetch(target, { method: "PUT", body })).status).toBe(201);
      const got = await served.fetch(target);
      expect([got.status, got.headers.get("content-length")]).toEqual([200, String(sizeBytes)]);
      expect(Buffer.from(await got.arrayBuffer()).equals(body)).toBe(true);
      const plain = await fetch(`${served.node.url}${target}`);
      expect(Buffer.from(await plain.arrayBuffer()).equals(body)).toBe(true);
      if (sizeBytes === 0) continue;
      const part = await served.fetch(target, { headers: { range: "bytes=10-1000" } });
      expect([part.status, part.headers.get("content-range")]).toEqual([
        206,
        `bytes 10-1000/${sizeBytes}`,
      ]);
      expect(Buffer.from(await part.arrayBuffer()).equals(body.subarray(10, 1_001))).toBe(true);
    }
  });

  test("answers several requests on one connection, and takes a chunked body", async () => {
    await using served = await startTlsNode();
    using client = await connectTls(served.tlsPort, served.authority);
    client.send(
      `PUT ${artifact("chunked")} HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    client.send("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    await until("it is stored", () => client.received().toString().includes("201 Created"));
    for (const count of [1, 2, 3]) {
      client.send(`GET ${artifact("chunked")} HTTP/1.1\r\nHost: k\r\n\r\n`);
      await until("the answer came", () => {
        return client.received().toString().split("hello world").length - 1 === count;
      });
    }
  });

  test("books a download at its end, like the plain port", async () => {
    await using served = await startTlsNode();
    const body = patterned(3 * MiB);
    await served.fetch(artifact("booked"), { method: "PUT", body });
    await (
      await served.fetch(artifact("booked"), { headers: { "user-agent": "Gradle/8" } })
    ).arrayBuffer();
    const labels = `{producer="gradle",kind="gradle",artifact_class="pointer",client="gradle",result="ok"}`;
    await until("it is booked", async () => {
      return (await served.metric(`kura_artifact_read_bytes_total${labels}`)) === body.length;
    });
    expect(await served.metric("kura_http_inflight_requests")).toBe(0);
  });

  test("shows the whole chain and takes an RSA key", async () => {
    await using served = await startTlsNode();
    const between = await served.authority.intermediate("between");
    served.pair.put(await between.issue({ name: "chained", isRsa: true }));
    served.hangUp();
    // The client knows the root alone.
    await until("it is shown", async () => (await served.shownName()) === "chained");
  });

  test("speaks TLS 1.3 and 1.2 and refuses what is older", async () => {
    await using served = await startTlsNode();
    const openssl = requireProgram("openssl", "apt-get install openssl");
    const shake = async (version: string): Promise<string> => {
      // OpenSSL itself offers nothing old above its security level 0.
      const weak = version === "-tls1_3" ? [] : ["-cipher", "DEFAULT@SECLEVEL=0"];
      const address = `127.0.0.1:${served.tlsPort}`;
      const command = [openssl, "s_client", "-connect", address, version, ...weak];
      const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
      const [stdout, stderr] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      if (stderr.includes("alert protocol version")) return "refused";
      return /New, (\S+),/.exec(stdout)?.[1] ?? stderr;
    };
    expect(await shake("-tls1_3")).toBe("TLSv1.3");
    expect(await shake("-tls1_2")).toBe("TLSv1.2");
    expect(await shake("-tls1_1")).toBe("refused");
    expect(await shake("-tls1")).toBe("refused");
  });

  test("survives plain HTTP, noise and clients that hang up in the handshake", async () => {
    await using served = await startTlsNode();
    const noises = [
      "GET /up HTTP/1.1\r\nHost: k\r\n\r\n",
      "\x16\x03\x01\xff\xff",
      crypto.getRandomValues(new Uint8Array(4_096)),
      "",
    ];
    for (const noise of noises) {
      const socket = net.connect(served.tlsPort, "127.0.0.1");
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      socket.on("error", () => {});
      await new Promise((resolve) => socket.once("connect", resolve));
      await new Promise((resolve) => socket.write(noise, resolve));
      socket.destroy();
      expect(Buffer.concat(chunks).toString("latin1")).not.toContain("HTTP/1.1");
    }
    expect((await served.fetch("/up")).status).toBe(200);
    expect(await served.node.stop()).toBe(0);
  });

  test("is not opened without a certificate", async () => {
    const [plainPort = 0, port = 0] = await freePorts(2);
    const env = { KURA_PORT: String(plainPort), KURA_HTTPS_PORT: String(port) };
    await using node = await startNode({ env });
    expect(await accepts(port)).toBe(false);
    expect(node.stdout()).not.toContain("https://");
    expect(node.stderr()).toContain("KURA_HTTPS_PORT is not opened without");
    expect(await (await fetch(`${node.url}/metrics`)).text()).not.toContain(
      "kura_public_tls_certificate_expiry_seconds ",
    );
  });

  test("is printed at the start and tells when its certificate expires", async () => {
    await using served = await startTlsNode();
    expect(served.node.stdout()).toContain(`https://127.0.0.1:${served.tlsPort}, by a name of its`);
    const leftSeconds =
      (await served.metric("kura_public_tls_certificate_expiry_seconds")) - Date.now() / 1_000;
    expect(leftSeconds).toBeGreaterThan(23 * 3_600);
    expect(leftSeconds).toBeLessThan(25 * 3_600);
  });

  test("may be any free port, and is that of the log", async () => {
    await using served = await startTlsNode({ KURA_HTTPS_PORT: "0" });
    using client = await connectTls(Number(new URL(loggedUrl(served.node)).port), served.authority);
    expect(client.name).toBe("first");
  });

  test("works with an expired certificate, with a warning", async () => {
    using pair = makePairFolder();
    const authority = await makeAuthority();
    const nowMs = Date.now();
    pair.put(
      await authority.issue({ name: "old", notBeforeMs: nowMs - 9e6, notAfterMs: nowMs - 8e6 }),
    );
    await using node = await startNode({ env: { ...pair.env, KURA_HTTPS_PORT: "0" } });
    expect(node.stderr()).toContain('"message":"clients will refuse the public certificate"');
    expect(node.stderr()).toContain("it expired on");
  });
});

describe("a drain", () => {
  test("waits for a TLS download and frees both ports", async () => {
    await using served = await startTlsNode();
    const body = Buffer.alloc(32 * MiB, "kura");
    await served.fetch(artifact("big"), { method: "PUT", body });
    using download = await connectTls(served.tlsPort, served.authority);
    download.send(`GET ${artifact("big")} HTTP/1.1\r\nHost: k\r\n\r\n`);
    await until("the download has begun", () => download.received().length > 0);
    download.pause();
    process.kill(served.node.pid, "SIGTERM");
    await until("the node drains", async () => (await served.fetch(artifact("x"))).status === 503);
    download.resume();
    expect(await served.node.exited).toBe(0);
    // What the node has handed to the network may still be on its way to us.
    await download.closed;
    const received = download.received();
    expect(received.subarray(received.indexOf("\r\n\r\n") + 4).equals(body)).toBe(true);
    expect([await accepts(served.node.port), await accepts(served.tlsPort)]).toEqual([
      false,
      false,
    ]);
  });

  test("cuts a TLS download at its deadline", async () => {
    await using served = await startTlsNode({ KURA_DRAIN_COMPLETION_TIMEOUT_MS: "200" });
    const body = Buffer.alloc(32 * MiB, "kura");
    await served.fetch(artifact("big"), { method: "PUT", body });
    using download = await connectTls(served.tlsPort, served.authority);
    download.send(`GET ${artifact("big")} HTTP/1.1\r\nHost: k\r\n\r\n`);
    await until("the download has begun", () => download.received().length > 0);
    download.pause();
    expect(await served.node.stop()).toBe(0);
    expect(served.node.stderr()).toContain('"message":"drain deadline passed"');
  });
});

describe("a start", () => {
  const serve = (dataDir: string, env: Readonly<Record<string, string>>): Promise<Run> =>
    kura(["serve", "--port", "0", "--data-dir", dataDir], {
      env: { KURA_HTTPS_PORT: "0", ...env },
    });

  test("ends with 69 when the port is taken, also by another node, and leaves nothing locked", async () => {
    await using served = await startTlsNode();
    using pair = makePairFolder();
    using made = scratch();
    pair.put(await served.authority.issue({ name: "second" }));
    const env = { ...pair.env, KURA_HTTPS_PORT: String(served.tlsPort) };
    const run = await serve(made.folder, env);
    expect({ code: run.code, said: complaints(run) }).toEqual({
      code: 69,
      said: [expect.stringMatching(/^kura: Cannot listen on .*in use.*KURA_HTTPS_PORT$/)],
    });
    // All of many connections reach the node that has the port.
    for (let i = 0; i < 20; i++) expect(await served.shownName()).toBe("first");
    await using next = await startNode({ dataDir: made.folder });
    expect(await next.stop()).toBe(0);
  });

  const broken: [string, (cert: string, key: string) => [string | null, string | null], string][] =
    [
      ["a certificate that is missing", (_, key) => [null, key], "there is no such file"],
      ["a key that is missing", (cert) => [cert, null], "there is no such file"],
      ["an empty certificate", (_, key) => ["", key], "no PEM certificate"],
      ["a certificate that is cut off", (cert, key) => [cert.slice(0, 300), key], "is cut off"],
      [
        "a certificate that is noise",
        (cert, key) => [cert.replace(/MII/, "AAA"), key],
        "cannot be read",
      ],
      ["a key that is cut off", (cert, key) => [cert, key.slice(0, 100)], "no PEM private key"],
      ["the files exchanged", (cert, key) => [key, cert], "no PEM certificate"],
      [
        "files over their limit",
        (cert, key) => [cert + " ".repeat(600_000), key],
        "more than 524288",
      ],
    ];
  test.each(broken)(
    "ends with 78 and one clear line for %s, and touches nothing",
    async (_, spoil, words) => {
      using pair = makePairFolder();
      const { cert, key } = await (await makeAuthority()).issue({ name: "spoilt" });
      const [badCert, badKey] = spoil(cert, key);
      if (badCert !== null) fs.writeFileSync(pair.certPath, badCert);
      if (badKey !== null) fs.writeFileSync(pair.keyPath, badKey);
      const dataDir = `${pair.folder}/data`;
      const run = await serve(dataDir, pair.env);
      expect({ code: run.code, said: complaints(run) }).toEqual({
        code: 78,
        said: [expect.stringContaining(words)],
      });
      expect(complaints(run)[0]).toMatch(/Cannot use KURA_PUBLIC_TLS_(CERT|KEY)_PATH \/.*\.pem: /);
      expect(fs.existsSync(dataDir)).toBe(false);
    },
  );

  test("ends with 78 for a key of another certificate, and for a folder", async () => {
    using pair = makePairFolder();
    const authority = await makeAuthority();
    const [one, two] = [await authority.issue({ name: "1" }), await authority.issue({ name: "2" })];
    pair.put({ cert: one.cert, key: two.key });
    const other = await serve(`${pair.folder}/data`, pair.env);
    expect([other.code, complaints(other)[0]]).toEqual([
      78,
      expect.stringContaining("not the key of the first certificate"),
    ]);
    const isFolder = await serve(`${pair.folder}/data`, {
      ...pair.env,
      KURA_PUBLIC_TLS_KEY_PATH: pair.folder,
    });
    expect([isFolder.code, complaints(isFolder)[0]]).toEqual([
      78,
      expect.stringContaining("KURA_PUBLIC_TLS_KEY_PATH"),
    ]);
  });

  test.each(["pkcs8", "traditional"])(
    "ends with 78 for a key with a passphrase: %s",
    async (form) => {
      const openssl = requireProgram("openssl", "apt-get install openssl");
      using pair = makePairFolder();
      pair.put(await (await makeAuthority()).issue({ name: "locked" }));
      const locked = `${pair.folder}/locked.pem`;
      const convert = form === "pkcs8" ? ["pkcs8", "-topk8"] : ["ec", "-aes256"];
      const args = [...convert, "-in", pair.keyPath, "-passout", "pass:secret", "-out", locked];
      expect(Bun.spawnSync([openssl, ...args]).exitCode).toBe(0);
      expect(fs.readFileSync(locked, "utf8")).toContain("ENCRYPTED");
      const env = { ...pair.env, KURA_PUBLIC_TLS_KEY_PATH: locked };
      const run = await serve(`${pair.folder}/data`, env);
      expect([run.code, complaints(run)[0]]).toEqual([78, expect.stringContaining("passphrase")]);
    },
  );

  test("takes what `openssl req` makes, parameters of the curve included", async () => {
    const openssl = requireProgram("openssl", "apt-get install openssl");
    using pair = makePairFolder();
    const make = (...args: string[]) => Bun.spawnSync([openssl, ...args]).exitCode;
    expect(make("ecparam", "-name", "prime256v1", "-genkey", "-out", pair.keyPath)).toBe(0);
    const subject = ["-subj", "/CN=kura", "-addext", "subjectAltName=IP:127.0.0.1"];
    const out = ["-days", "1", "-out", pair.certPath];
    expect(make("req", "-x509", "-new", "-key", pair.keyPath, ...subject, ...out)).toBe(0);
    expect(fs.readFileSync(pair.keyPath, "utf8")).toContain("BEGIN EC PARAMETERS");
    await using node = await startNode({ env: { ...pair.env, KURA_HTTPS_PORT: "0" } });
    const ca = fs.readFileSync(pair.certPath, "utf8");
    expect((await fetch(`${loggedUrl(node)}/up`, { tls: { ca } })).status).toBe(200);
  });
});

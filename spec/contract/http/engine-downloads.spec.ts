import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { KiB, MiB, second } from "../../../runtime/base/units.ts";
import { lingerSilenceMsMax, sendStallMsMax } from "../../../runtime/wire/http1/limits.ts";
import { root } from "../../../scripts/build.ts";
import { type Credentials, makeAuthority } from "../../support/certificates.ts";
import {
  type Engine,
  engineIdleMs,
  numbered,
  type SentFile,
  sentFile,
  startEngine,
  text,
} from "../../support/engine.ts";
import { connect, head } from "../../support/raw-http.ts";
import { eventually } from "../../support/server.ts";

const bytes = numbered(64 * MiB);
let tls: Credentials & { ca: string };
let file: SentFile;
beforeAll(async () => {
  const authority = await makeAuthority();
  tls = { ...(await authority.issue({ name: "engine" })), ca: authority.cert };
  file = sentFile(bytes);
});

const openEngines: Engine[] = [];
afterAll(() => {
  for (const engine of openEngines) engine[Symbol.dispose]();
  file[Symbol.dispose]();
});

describe.each(["plain", "TLS"])("over %s", (kind) => {
  const isTls = kind === "TLS";
  const start = (handle: Parameters<typeof startEngine>[0]): Engine => {
    const engine = startEngine(handle, isTls ? tls : undefined);
    openEngines.push(engine);
    return engine;
  };
  const join = (engine: Engine) => connect(engine.port, isTls ? { ca: tls.ca } : {});

  test("64 MiB reach a reader that stops again and again, as they are, and are held by nobody", async () => {
    const engine = start(({ target }) => {
      return target === "/file" ? file.answer(0, bytes.length) : text("behind");
    });
    await using client = await join(engine);
    client.pause();
    await client.send(head("GET /file") + head("GET /behind"));
    await eventually("it is under way", () => file.openCount === 1);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 10; i += 1) await new Promise((next) => setTimeout(next, 5));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * MiB);
    const answer = client.answer();
    while (file.openCount === 1) {
      client.resume();
      await new Promise((next) => setTimeout(next, 1));
      client.pause();
      await new Promise(setImmediate);
    }
    client.resume();
    expect((await answer).body.equals(bytes)).toBe(true);
    expect((await client.answer()).body.toString()).toBe("behind");
    expect([file.openCount, engine.ends]).toEqual([0, [true, true]]);
  });

  test("stretches of a file of any place and length come as they are", async () => {
    const stretches = [
      [0, 1],
      [1, 1],
      [4_095, 4_097],
      [MiB - 1, 2 * MiB + 1],
      [bytes.length - 1, bytes.length],
      [4 * MiB + 3, 8 * MiB + 3],
      [0, 4 * MiB],
      [5, 5 + 128 * KiB],
    ] as const;
    const engine = start(({ target }) => {
      const [startBytes, endBytes] = stretches[Number(target.slice(1))] ?? [0, 0];
      return file.answer(startBytes, endBytes);
    });
    await using client = await join(engine);
    await client.send(stretches.map((_, i) => head(`GET /${i}`)).join(""));
    for (const [startBytes, endBytes] of stretches) {
      const { body } = await client.answer();
      expect(body.equals(bytes.subarray(startBytes, endBytes))).toBe(true);
    }
    expect(file.openCount).toBe(0);
  });

  test("a reader that takes nothing is cut in time, and its file given back", async () => {
    const engine = start(() => file.answer(0, bytes.length));
    await using client = await join(engine);
    client.pause();
    await client.send(head("GET /"));
    await eventually("it is under way", () => file.openCount === 1);
    await new Promise((next) => setTimeout(next, 50));
    engine.clock.step(sendStallMsMax - 2 * second);
    expect(file.openCount).toBe(1);
    engine.clock.step(5 * second);
    await eventually("it was given back", () => file.openCount === 0);
    expect([engine.ends, engine.listener.pendingRequests]).toEqual([[false], 0]);
    await eventually("it is gone", () => engine.listener.connectionCount === 0);
  });

  test("a file that shrinks cuts the connection before its promised end", async () => {
    using shrinking = sentFile(bytes);
    const engine = start(() => shrinking.answer(0, bytes.length));
    await using client = await join(engine);
    client.pause();
    await client.send(head("GET /"));
    await eventually("it is under way", () => shrinking.openCount === 1);
    fs.truncateSync(shrinking.path, 32 * MiB);
    client.resume();
    const got = await client.closed();
    expect(got.length).toBeLessThanOrEqual(32 * MiB + 200);
    await eventually("it was given back", () => shrinking.openCount === 0);
    expect([engine.ends, engine.listener.pendingRequests]).toEqual([[false], 0]);
  });

  test("a file whose name is gone is sent whole", async () => {
    using vanishing = sentFile(bytes);
    const engine = start(() => vanishing.answer(0, bytes.length));
    await using client = await join(engine);
    client.pause();
    await client.send(head("GET /"));
    await eventually("it is under way", () => vanishing.openCount === 1);
    fs.unlinkSync(vanishing.path);
    client.resume();
    expect((await client.answer()).body.equals(bytes)).toBe(true);
  });

  test("a large download leaves others their turn", async () => {
    const engine = start(({ target }) => {
      return target === "/file" ? file.answer(0, bytes.length) : text("small");
    });
    const streams = await Promise.all(Array.from({ length: 4 }, () => join(engine)));
    await using small = await join(engine);
    for (const stream of streams) await stream.send(head("GET /file"));
    let answered = 0;
    await eventually("they are under way", () => file.openCount > 0);
    while (file.openCount > 0) {
      await small.send(head("GET /small"));
      await small.answer();
      answered += 1;
    }
    for (const stream of streams) {
      expect((await stream.answer()).body.length).toBe(bytes.length);
      stream.destroy();
    }
    // A turn is 4 MiB: four downloads at a time leave one for every 16 MiB at the least.
    expect(answered).toBeGreaterThanOrEqual(8);
  });

  test("an idle client is told the end, and is cut when it does not care", async () => {
    const engine = start(() => text("a"));
    await using client = await join(engine);
    await client.send(head("GET /"));
    await client.answer();
    engine.clock.step(engineIdleMs + 2 * second);
    expect((await client.closed()).length).toBe(0);
    engine.clock.step(lingerSilenceMsMax + 2 * second);
    await eventually("it is gone", () => engine.listener.connectionCount === 0);
  });

  test("a client that ends its half while it is answered gets the answer", async () => {
    const engine = start(async () => {
      await new Promise((next) => setTimeout(next, 20));
      return file.answer(0, 5 * MiB);
    });
    await using client = await join(engine);
    await client.send(head("GET /"));
    client.endWriting();
    expect((await client.answer()).body.equals(bytes.subarray(0, 5 * MiB))).toBe(true);
    await client.closed();
    await eventually("it is gone", () => engine.listener.connectionCount === 0);
    expect([file.openCount, engine.ends]).toEqual([0, [true]]);
  });
});

describe("a TLS port", () => {
  test.each([
    ["nothing", ""],
    ["half a greeting", "\x16\x03\x01\x00\xc8\x01\x00"],
  ])("ends a client that sends %s", async (_, greeting) => {
    const engine = startEngine(() => text("a"), tls);
    openEngines.push(engine);
    const client = net.connect({ port: engine.port, host: "127.0.0.1", allowHalfOpen: true });
    client.on("error", () => {});
    client.write(greeting, "latin1");
    await eventually("it is there", () => engine.listener.connectionCount === 1);
    engine.clock.step(engineIdleMs + lingerSilenceMsMax + 5 * second);
    await eventually("it is gone", () => engine.listener.connectionCount === 0);
    expect(engine.listener.pendingRequests).toBe(0);
    client.destroy();
  });

  test("closes on a client that speaks HTTP in the clear", async () => {
    const engine = startEngine(() => text("a"), tls);
    openEngines.push(engine);
    await using client = await connect(engine.port);
    await client.send(head("GET /"));
    await client.closed();
    await eventually("it is gone", () => engine.listener.connectionCount === 0);
    expect(engine.ends).toEqual([]);
  });
});

test("a plain port says so to a client that speaks TLS", async () => {
  const engine = startEngine(() => text("a"));
  openEngines.push(engine);
  await using client = await connect(engine.port);
  await client.send("\x16\x03\x01\x00\xc8\x01\x00");
  const { status, body } = await client.answer();
  expect([status, body.toString()]).toEqual([400, expect.stringContaining("plain HTTP")]);
  expect((await client.closed()).length).toBe(0);
});

test("a defect ends the process, and does not leave a connection behind that nobody serves", async () => {
  const module = path.join(root, "spec/support/engine.ts");
  const program = `
    const { startEngine } = await import(${JSON.stringify(module)});
    const engine = startEngine(() => { throw new TypeError("a defect"); });
    const client = (await import("node:net")).connect(engine.port, "127.0.0.1");
    client.write("GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n");
    setTimeout(() => process.exit(0), 5_000);`;
  const child = Bun.spawn([process.execPath, "-e", program], { stderr: "pipe" });
  expect(await child.exited).toBe(1);
  expect(await new Response(child.stderr).text()).toContain("a defect");
});

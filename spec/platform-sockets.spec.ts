/**
 * What our HTTP engine relies on in Bun's sockets, or guards against, as measured on Bun 1.4.5; see `platform.spec.ts`.
 */
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { kernelSend, kernelSendAhead } from "../runtime/base/kernel-send.ts";
import { MiB } from "../runtime/base/units.ts";
import { type Credentials, makeAuthority } from "./support/certificates.ts";
import { numbered } from "./support/engine.ts";
import { eventually } from "./support/server.ts";

type Side = Bun.Socket<undefined> & { readonly fd?: number };

let credentials: Credentials;
beforeAll(async () => {
  credentials = await (await makeAuthority()).issue({ name: "platform" });
});

const toClose: (() => void)[] = [];
afterEach(() => {
  for (const close of toClose.splice(0)) close();
});

/** A listener that notes its events, and what its newest connection is. */
class Watched {
  readonly port: number;
  readonly events: string[] = [];
  readonly buffers: Buffer[] = [];
  socket: Side | null = null;

  constructor(options: { tls?: Credentials; tellsHandshake?: boolean; throws?: boolean } = {}) {
    const listener = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      allowHalfOpen: true,
      ...(options.tls && { tls: options.tls }),
      socket: {
        open: (socket) => {
          this.socket = socket;
          this.events.push("open");
        },
        ...(options.tellsHandshake === true && { handshake: () => {} }),
        data: (_, bytes) => {
          this.buffers.push(bytes);
          this.events.push("data");
          if (options.throws === true) throw new TypeError("thrown by data");
        },
        drain: () => void this.events.push("drain"),
        end: () => void this.events.push("end"),
        close: () => void this.events.push("close"),
        error: (_, error) => void this.events.push(`error ${error.message}`),
      },
    });
    this.port = listener.port;
    toClose.push(() => listener.stop(true));
  }

  get side(): Side {
    if (this.socket === null) throw new Error("Nobody has connected");
    return this.socket;
  }

  has(event: string): boolean {
    return this.events.includes(event);
  }

  async join(isTls = false): Promise<net.Socket> {
    const place = { host: "127.0.0.1", port: this.port, allowHalfOpen: true };
    const client = isTls
      ? tls.connect({ ...place, rejectUnauthorized: false })
      : net.connect(place);
    client.on("error", () => {});
    toClose.push(() => client.destroy());
    await new Promise((resolve) => client.once(isTls ? "secureConnect" : "connect", resolve));
    await eventually("the connection is there", () => this.has("open"));
    return client;
  }
}

/** Long enough for what would come to have come. */
const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

describe("a port of Bun.listen", () => {
  const listen = (port: number, reusePort: boolean) => {
    const place = { hostname: "127.0.0.1", port, reusePort };
    const listener = Bun.listen({ ...place, socket: { data: () => {} } });
    toClose.push(() => listener.stop(true));
    return listener.port;
  };

  test("is refused when it is taken", () => {
    const port = listen(0, false);
    expect(() => listen(port, false)).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
    expect(() => listen(port, true)).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
  });

  test("is shared by all who want to share it, and by nobody else", () => {
    const port = listen(0, true);
    expect(listen(port, true)).toBe(port);
    expect(() => listen(port, false)).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
  });
});

describe("a socket of Bun.listen", () => {
  test("has a descriptor, and none any more once it is closed", async () => {
    const watched = new Watched();
    await watched.join();
    const { side } = watched;
    expect(fs.readlinkSync(`/proc/self/fd/${side.fd}`)).toMatch(/^socket:/);
    side.terminate();
    expect(side.fd).toBe(-1);
  });

  test("writes a stretch of a buffer, in the clear and over TLS", async () => {
    for (const isTls of [false, true]) {
      const watched = new Watched(isTls ? { tls: credentials } : {});
      const client = await watched.join(isTls);
      const got: Buffer[] = [];
      client.on("data", (data: Buffer) => got.push(data));
      const bytes = numbered(MiB);
      expect(watched.side.write(bytes, 0, 5)).toBe(5);
      expect(watched.side.write(bytes, 7, 1_000)).toBe(1_000);
      expect(watched.side.write(bytes, MiB - 3, 3)).toBe(3);
      await eventually("all has come", () => Buffer.concat(got).length === 1_008);
      const wanted = [bytes.subarray(0, 5), bytes.subarray(7, 1_007), bytes.subarray(MiB - 3)];
      expect(Buffer.concat(got).equals(Buffer.concat(wanted))).toBe(true);
    }
  });

  test("takes a part when it is full, then nothing, and tells of new room once", async () => {
    const watched = new Watched();
    const client = await watched.join();
    client.pause();
    await moment();
    watched.events.length = 0;
    const piece = Buffer.alloc(16 * MiB);
    const count = watched.side.write(piece);
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(piece.length);
    // The system takes more for as long as it moves what it has to the other side.
    await eventually("it is full", () => watched.side.write(piece) === 0);
    watched.events.length = 0;
    await moment();
    expect(watched.events).toEqual([]);
    client.resume();
    await eventually("there is room", () => watched.has("drain"));
  });

  test("says nothing of new room after the kernel has filled it, until a write of its own was short", async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kura-platform-spec-"));
    const file = path.join(folder, "file");
    fs.writeFileSync(file, numbered(16 * MiB));
    const fd = fs.openSync(file, "r");
    const watched = new Watched();
    const client = await watched.join();
    const got: Buffer[] = [];
    client.pause();
    client.on("data", (data: Buffer) => got.push(data));
    client.pause();
    await moment();
    watched.events.length = 0;
    const socket = watched.side.fd ?? -1;
    expect(kernelSendAhead(socket, Buffer.from("header"), 4)).toBe(4);
    let atBytes = 0;
    for (;;) {
      const count = kernelSend(socket, fd, { atBytes, bytes: MiB });
      if (count < 0) break;
      atBytes += count;
    }
    expect(atBytes).toBeGreaterThan(0);
    expect(watched.side.write(Buffer.from("tail"))).toBe(0);
    client.resume();
    await eventually("there is room", () => watched.has("drain"));
    await eventually("all has come", () => Buffer.concat(got).length === 4 + atBytes);
    expect(
      Buffer.concat(got)
        .subarray(4)
        .equals(numbered(16 * MiB).subarray(0, atBytes)),
    ).toBe(true);
    // At the end of the file, and into a socket that is gone.
    expect(kernelSend(socket, fd, { atBytes: 16 * MiB, bytes: 1 })).toBe(0);
    watched.side.terminate();
    expect(kernelSend(socket, fd, { atBytes: 0, bytes: 1 })).toBe(-1);
    fs.closeSync(fd);
    fs.rmSync(folder, { recursive: true });
  });

  test("gives each piece that comes a buffer of its own, which stays as it is", async () => {
    const watched = new Watched();
    const client = await watched.join();
    for (let i = 0; i < 20; i += 1) {
      client.write(Buffer.alloc(1_000, i));
      await eventually("it has come", () => watched.buffers.length === i + 1);
    }
    expect(watched.buffers.map(([first]) => first)).toEqual(
      Array.from({ length: 20 }, (_, i) => i),
    );
    expect(new Set(watched.buffers.map(({ buffer }) => buffer)).size).toBe(20);
    expect(watched.buffers.every(({ buffer }) => buffer.byteLength === 1_000)).toBe(true);
  });

  test("can be written to after the other side has ended its half, and closes at `end`, at once", async () => {
    const watched = new Watched();
    const client = await watched.join();
    const got: Buffer[] = [];
    client.on("data", (data: Buffer) => got.push(data));
    client.end("last");
    await eventually("its half has ended", () => watched.has("end"));
    expect([watched.has("data"), watched.has("close")]).toEqual([true, false]);
    expect(watched.side.write(Buffer.from("answer"))).toBe(6);
    watched.side.end();
    expect(watched.has("close")).toBe(true);
    await eventually("the answer has come", () => Buffer.concat(got).toString() === "answer");
  });

  test("is not read while it is paused, and tells of a reset even so", async () => {
    const watched = new Watched();
    const client = await watched.join();
    watched.side.pause();
    client.write("a");
    await moment();
    expect(watched.has("data")).toBe(false);
    client.resetAndDestroy();
    await eventually("it is closed", () => watched.has("close"));
  });

  test("takes calls after its end without harm", async () => {
    const watched = new Watched();
    await watched.join();
    const { side } = watched;
    side.terminate();
    expect(side.write(Buffer.from("a"))).toBe(-1);
    side.pause();
    side.resume();
    side.shutdown();
    side.end();
    side.terminate();
    expect(watched.events.filter((event) => event === "close")).toEqual(["close"]);
  });

  test("gives what an event throws to `error`, and lives on", async () => {
    const watched = new Watched({ throws: true });
    const client = await watched.join();
    client.write("a");
    await eventually("it was told", () => watched.has("error thrown by data"));
    expect(watched.has("close")).toBe(false);
  });

  test("does not end the process when its other side is gone: SIGPIPE is ignored", () => {
    const ignored = /SigIgn:\s*([0-9a-f]+)/.exec(fs.readFileSync("/proc/self/status", "latin1"));
    expect(Number.parseInt(ignored?.[1] ?? "0", 16) & (1 << 12)).not.toBe(0);
  });
});

describe("a TLS socket of Bun.listen", () => {
  test("is told of before its handshake only to those who want to hear of the handshake", async () => {
    for (const tellsHandshake of [false, true]) {
      const watched = new Watched({ tls: credentials, tellsHandshake });
      const client = net.connect({ host: "127.0.0.1", port: watched.port });
      toClose.push(() => client.destroy());
      await new Promise((resolve) => client.once("connect", resolve));
      await moment();
      expect([tellsHandshake, watched.has("open")]).toEqual([tellsHandshake, tellsHandshake]);
    }
  });

  test("slips away at `end` when the other side stays: no call closes it then", async () => {
    const watched = new Watched({ tls: credentials });
    await watched.join(true);
    watched.side.end();
    watched.side.terminate();
    await moment();
    expect(watched.has("close")).toBe(false);
  });

  test("can be ended after `shutdown`, and is by itself once both sides have ended", async () => {
    for (const isAlone of [true, false]) {
      const watched = new Watched({ tls: credentials });
      const client = await watched.join(true);
      if (!isAlone) {
        client.end();
        await eventually("its half has ended", () => watched.has("end"));
      }
      watched.side.shutdown();
      if (isAlone) watched.side.terminate();
      await eventually("it is closed", () => watched.has("close"));
    }
  });

  test("takes a part when it is full, then nothing, and goes on with the rest", async () => {
    const watched = new Watched({ tls: credentials });
    const client = await watched.join(true);
    const bytes = numbered(24 * MiB);
    let gotBytes = 0;
    const wrong: number[] = [];
    client.pause();
    client.on("data", (data: Buffer) => {
      if (!data.equals(bytes.subarray(gotBytes, gotBytes + data.length))) wrong.push(gotBytes);
      gotBytes += data.length;
    });
    client.pause();
    let sentBytes = 0;
    const send = (): void => {
      while (sentBytes < bytes.length) {
        const piece = bytes.subarray(sentBytes, sentBytes + 128 * 1024);
        const count = watched.side.write(piece);
        sentBytes += Math.max(0, count);
        if (count < piece.length) return;
      }
    };
    send();
    expect(sentBytes).toBeLessThan(bytes.length);
    client.resume();
    await eventually("all has come", () => {
      if (watched.has("drain")) send();
      return gotBytes === bytes.length;
    });
    expect(wrong).toEqual([]);
  });
});

import { describe, expect, test } from "bun:test";
import { encodeHeaders } from "../../../../../runtime/wire/http2/hpack-encoder.ts";
import { goaways, openH2, pass } from "../../../../support/h2-engine.ts";
import {
  callFields,
  h2Codes,
  h2Data,
  h2Flags,
  h2Frame,
  h2Headers,
  h2Reset,
  h2Types,
  h2Window,
} from "../../../../support/h2-frames.ts";

const answer = encodeHeaders([[":status", "200"]]);
const path = "/a/b";

describe("a flood", () => {
  const empty = Buffer.alloc(0);
  const request = (id: number): Buffer => h2Headers(id, callFields(path), { isEnd: true });
  test.each<[string, (i: number) => Buffer]>([
    ["of PING", () => h2Frame(h2Types.ping, 0, 0, Buffer.alloc(8))],
    ["of answers to PING", () => h2Frame(h2Types.ping, h2Flags.ack, 0, Buffer.alloc(8))],
    ["of SETTINGS", () => h2Frame(h2Types.settings, 0, 0)],
    ["of PRIORITY", () => h2Frame(h2Types.priority, 0, 1, Buffer.alloc(5))],
    ["of WINDOW_UPDATE", () => h2Window(0, 1)],
    ["of frames of extensions", () => h2Frame(77, 0, 0)],
    ["of calls taken back", (i) => Buffer.concat([request(3 + 2 * i), h2Reset(3 + 2 * i)])],
    ["of DATA without bytes", () => h2Data(1, empty)],
    [
      "of DATA that is padding",
      () => h2Frame(h2Types.data, h2Flags.padded, 1, Buffer.from([2, 0, 0])),
    ],
    [
      "of calls that we must break off",
      (i) => Buffer.concat([request(3 + 2 * i), h2Window(3 + 2 * i, 0)]),
    ],
    [
      "of windows that overflow",
      (i) => Buffer.concat([request(3 + 2 * i), h2Window(3 + 2 * i, 2 ** 31 - 1)]),
    ],
    ["of malformed requests", (i) => h2Headers(3 + 2 * i, [["x", "y"]])],
    ["of resets of streams that are gone", () => h2Reset(1)],
  ])("%s ends the connection", (_, frame) => {
    const engine = openH2();
    engine.connection.received(h2Headers(1, callFields(path)));
    let sent = 0;
    while (engine.cuts.length === 0 && sent < 60_000) {
      engine.connection.received(frame(sent));
      sent += 1;
    }
    expect(engine.cuts).toEqual([h2Codes.enhanceYourCalm]);
    expect(goaways(engine).at(-1)?.code).toBe(h2Codes.enhanceYourCalm);
    expect(engine.socket.isEnded).toBe(true);
    expect(engine.connection.streamCount).toBe(0);
  });

  test("of headers without an end ends the connection", () => {
    const engine = openH2();
    engine.connection.received(h2Frame(h2Types.headers, 0, 1, Buffer.from([0x82])));
    for (let i = 0; i < 20; i++) engine.connection.received(h2Frame(h2Types.continuation, 0, 1));
    expect(goaways(engine)).toEqual([{ lastId: 0, code: h2Codes.enhanceYourCalm }]);
  });

  test("is none when the same frames come over a long time", () => {
    const engine = openH2();
    for (let i = 0; i < 100; i++) {
      for (let j = 0; j < 300; j++) {
        engine.connection.received(h2Frame(h2Types.ping, 0, 0, Buffer.alloc(8)));
      }
      pass(engine, 10);
      if (engine.socket.isEnded) break;
    }
    expect(engine.cuts).toEqual([]);
  });

  test("is none when a client pings and widens for each piece of an answer", async () => {
    const engine = openH2();
    engine.connection.received(h2Headers(1, callFields(path)));
    engine.connection.received(Buffer.concat([h2Window(0, 2 ** 30), h2Window(1, 2 ** 30)]));
    engine.seen[0]?.stream.respond(answer, false);
    for (let i = 0; i < 30_000; i++) {
      engine.seen[0]?.stream.write(Buffer.alloc(10));
      await Promise.resolve();
      const ping = h2Frame(h2Types.ping, 0, 0, Buffer.alloc(8));
      engine.connection.received(Buffer.concat([ping, h2Window(0, 10), h2Window(1, 10)]));
    }
    expect(engine.cuts).toEqual([]);
  });
});

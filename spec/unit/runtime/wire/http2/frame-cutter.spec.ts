import { expect, test } from "bun:test";
import { seededRandom } from "../../../../../runtime/base/random.ts";
import { FrameCutter, type FrameHeader } from "../../../../../runtime/wire/http2/frame-cutter.ts";
import {
  h2Data,
  h2Flags,
  h2Frame,
  h2Headers,
  h2Preface,
  h2Types,
} from "../../../../support/h2-frames.ts";

/** What a cutter tells, with the bytes of each DATA frame put together. */
function cut(chunks: readonly Uint8Array[]): string[] {
  const seen: string[] = [];
  let body = Buffer.alloc(0);
  const say = ({ type, flags, streamId, lengthBytes }: FrameHeader, payload: Uint8Array): void => {
    const hex = Buffer.from(payload).toString("hex");
    seen.push(`${type} ${flags} ${streamId} ${lengthBytes} ${hex}`);
  };
  let begun: FrameHeader | null = null;
  const cutter = new FrameCutter({
    frame: say,
    dataBegins(header) {
      begun = header;
      body = Buffer.alloc(0);
    },
    dataBytes(bytes) {
      expect(bytes.length).toBeGreaterThan(0);
      body = Buffer.concat([body, bytes]);
    },
    dataEnds() {
      if (begun !== null) say(begun, body);
      begun = null;
    },
  });
  for (const chunk of chunks) cutter.push(new Uint8Array(chunk));
  return seen;
}

function paddedData(streamId: number, body: Uint8Array, padBytes: number): Buffer {
  const payload = Buffer.concat([Buffer.from([padBytes]), body, Buffer.alloc(padBytes)]);
  return h2Frame(h2Types.data, h2Flags.padded, streamId, payload);
}

const stream = Buffer.concat([
  h2Preface,
  h2Frame(h2Types.settings, 0, 0),
  h2Headers(1, [[":method", "POST"]]),
  h2Data(1, Buffer.from("body")),
  paddedData(1, Buffer.from("padded"), 3),
  paddedData(1, Buffer.alloc(0), 2),
  paddedData(1, Buffer.from("x"), 0),
  h2Data(1, Buffer.alloc(0)),
  h2Data(1, Buffer.from("end"), { isEnd: true }),
  // The highest bit of a stream's number means nothing.
  h2Frame(h2Types.ping, 0, 0x8000_0000, Buffer.from("12345678")),
]);

const frames = [
  "4 0 0 0 ",
  "1 4 1 1 83",
  `0 0 1 4 ${Buffer.from("body").toString("hex")}`,
  `0 8 1 10 ${Buffer.from("padded").toString("hex")}`,
  "0 8 1 3 ",
  `0 8 1 2 ${Buffer.from("x").toString("hex")}`,
  "0 0 1 0 ",
  `0 1 1 3 ${Buffer.from("end").toString("hex")}`,
  `6 0 0 8 ${Buffer.from("12345678").toString("hex")}`,
];

test("a stream of bytes is the same frames wherever it is cut in two", () => {
  for (let at = 0; at <= stream.length; at++) {
    expect(cut([stream.subarray(0, at), stream.subarray(at)])).toEqual(frames);
  }
});

test("a stream of bytes is the same frames in pieces of any size", () => {
  for (let size = 1; size <= 40; size++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < stream.length; at += size) chunks.push(stream.subarray(at, at + size));
    expect(cut(chunks)).toEqual(frames);
  }
  const random = seededRandom(3);
  for (let round = 0; round < 300; round++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < stream.length; ) {
      const size = random.below(30);
      chunks.push(stream.subarray(at, at + size));
      at += size;
    }
    expect(cut(chunks)).toEqual(frames);
  }
});

test.each([
  ["a wrong preface", Buffer.from("GET / HTTP/1.1\r\n"), "preface"],
  [
    "a frame of more than 16 KiB",
    Buffer.concat([h2Preface, Buffer.from("004001", "hex"), Buffer.alloc(6)]),
    "16385 bytes",
  ],
  [
    "padding as long as the frame",
    Buffer.concat([h2Preface, h2Frame(h2Types.data, h2Flags.padded, 1, Buffer.from([2, 0]))]),
    "padding",
  ],
  [
    "padding without its length",
    Buffer.concat([h2Preface, h2Frame(h2Types.data, h2Flags.padded, 1)]),
    "padding",
  ],
])("%s ends the connection, in whatever pieces", (_, bytes, why) => {
  expect(() => cut([bytes])).toThrow(why);
  expect(() => cut([...bytes].map((byte) => Uint8Array.of(byte)))).toThrow(why);
});

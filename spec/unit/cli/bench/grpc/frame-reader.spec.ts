import { expect, test } from "bun:test";
import { FrameReader } from "../../../../../cli/bench/grpc/frame-reader.ts";

type Heard = { type: number; flags: number; streamId: number; bytes: string };

function frame({ type, flags, streamId, bytes }: Heard): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, Buffer.from(bytes)]);
}

/** Reads the bytes in pieces of one length and tells whole frames. */
function read(bytes: Buffer, pieceBytes: number): Heard[] {
  const heard: Heard[] = [];
  let data = "";
  const reader = new FrameReader({
    data: (_, chunk, from, to) => {
      data += chunk.toString("latin1", from, to);
    },
    dataEnd: (streamId, isStreamEnd) => {
      heard.push({ type: 0, flags: isStreamEnd ? 1 : 0, streamId, bytes: data });
      data = "";
    },
    frame: (type, flags, streamId, payload) => {
      heard.push({ type, flags, streamId, bytes: payload.toString("latin1") });
    },
  });
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    reader.take(Buffer.from(bytes.subarray(at, at + pieceBytes)));
  }
  return heard;
}

const frames: Heard[] = [
  { type: 4, flags: 0, streamId: 0, bytes: "" },
  { type: 4, flags: 1, streamId: 0, bytes: "" },
  { type: 1, flags: 4, streamId: 1, bytes: "headers" },
  { type: 0, flags: 0, streamId: 1, bytes: "some data" },
  { type: 0, flags: 1, streamId: 3, bytes: "" },
  { type: 6, flags: 0, streamId: 0, bytes: "01234567" },
  { type: 0, flags: 1, streamId: 2_147_483_647, bytes: "x".repeat(16_384) },
  { type: 0, flags: 1, streamId: 5, bytes: "" },
];

test.each([1, 2, 3, 8, 9, 10, 11, 100, 100_000])(
  "frames that come in pieces of %d bytes are read as they were sent",
  (pieceBytes) => {
    expect(read(Buffer.concat(frames.map(frame)), pieceBytes)).toEqual(frames);
  },
);

test("a frame that is longer than we allow, and padding, are no answer to us", () => {
  const long = frame({ type: 0, flags: 0, streamId: 1, bytes: "x".repeat(16_385) });
  expect(() => read(long, 100_000)).toThrow("16385");
  const padded = frame({ type: 0, flags: 8, streamId: 1, bytes: "\u0001xy" });
  expect(() => read(padded, 100_000)).toThrow("pads");
});

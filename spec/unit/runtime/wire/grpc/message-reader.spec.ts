import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../../runtime/base/random.ts";
import { MessageReader } from "../../../../../runtime/wire/grpc/message-reader.ts";
import { grpcMessage } from "../../../../support/h2-frames.ts";

function read(reader: MessageReader, chunks: readonly Uint8Array[]): Uint8Array[] {
  const seen: Uint8Array[] = [];
  for (const chunk of chunks) reader.push(new Uint8Array(chunk), (one) => seen.push(one));
  return seen;
}

test("messages are the same wherever their bytes are cut in two", () => {
  const sent = [Buffer.alloc(0), Buffer.from("a"), Buffer.from("some more"), Buffer.alloc(0)];
  const bytes = Buffer.concat(sent.map(grpcMessage));
  for (let at = 0; at <= bytes.length; at++) {
    const reader = new MessageReader(100);
    const seen = read(reader, [bytes.subarray(0, at), bytes.subarray(at)]);
    expect(seen.map((one) => Buffer.from(one))).toEqual(sent);
    expect(reader.isInside).toBe(false);
  }
});

test("a message of megabytes comes whole from pieces of any size", () => {
  const random = seededRandom(5);
  const message = random.bytes(5_000_000);
  const bytes = grpcMessage(message);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random.below(700_000);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  const [seen] = read(new MessageReader(5_000_000), chunks);
  expect(Buffer.compare(seen ?? new Uint8Array(0), message)).toBe(0);
});

test("a small message does not keep the chunk that it came in", () => {
  const chunk = Buffer.concat([
    grpcMessage(Buffer.from("small")),
    grpcMessage(Buffer.alloc(99_000)),
  ]);
  const [small, large] = read(new MessageReader(100_000), [chunk]);
  expect(small?.buffer.byteLength).toBe(5);
  // A copy of it would cost more than it saves.
  expect(large?.buffer.byteLength).toBe(chunk.length);
});

test("what is held is what came, not what was announced", () => {
  const reader = new MessageReader(16_000_000);
  const announced = Buffer.concat([Buffer.from("0000f42400", "hex"), Buffer.alloc(10)]);
  expect(read(reader, [announced])).toEqual([]);
  expect(reader.heldBytes).toBe(10);
  expect(reader.isInside).toBe(true);
  reader.drop();
  expect(reader.heldBytes).toBe(0);
});

describe("a message is refused", () => {
  test("that is longer than the limit by a byte, before it has come", () => {
    const reader = new MessageReader(100);
    expect(read(reader, [grpcMessage(Buffer.alloc(100))])).toHaveLength(1);
    expect(() => read(reader, [grpcMessage(Buffer.alloc(101)).subarray(0, 5)])).toThrow(
      "101 bytes",
    );
  });

  test("that announces 4 GiB", () => {
    expect(() => read(new MessageReader(2 ** 24), [Buffer.from("00ffffffff", "hex")])).toThrow(
      "4294967295 bytes",
    );
  });

  test("that is compressed", () => {
    expect(() => read(new MessageReader(9), [Buffer.from("0100000000", "hex")])).toThrow(
      "compressed",
    );
  });
});

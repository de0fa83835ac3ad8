import { describe, expect, test } from "bun:test";
import { KiB } from "../../../../../runtime/base/units.ts";
import { ChunkDecoder } from "../../../../../runtime/wire/http1/chunks.ts";
import { chunkLineBytesMax, trailerBytesMax } from "../../../../../runtime/wire/http1/limits.ts";

type Decoded = { body: string; pieces: number; endBytes: number; isEnded: boolean };

/** Decodes in pieces of the given length; -1 as the end when the framing is broken. */
function decode(text: string, pieceBytes = text.length): Decoded {
  const decoder = new ChunkDecoder();
  const bytes = Buffer.from(text, "latin1");
  const pieces: string[] = [];
  let at = 0;
  while (at < bytes.length && !decoder.isEnded) {
    const piece = bytes.subarray(at, at + pieceBytes);
    const count = decoder.decode(piece, (data) =>
      pieces.push(Buffer.from(data).toString("latin1")),
    );
    if (count === -1) {
      return { body: pieces.join(""), pieces: pieces.length, endBytes: -1, isEnded: false };
    }
    at += count;
  }
  const { isEnded } = decoder;
  return { body: pieces.join(""), pieces: pieces.length, endBytes: at, isEnded };
}

const whole = '3\r\nabc\r\n1;a="b";c\r\nd\r\nA\r\n0123456789\r\n000\r\nX: a\r\nY:\r\n\r\n';

test("a body is the same in whatever pieces it comes", () => {
  for (let pieceBytes = 1; pieceBytes <= whole.length; pieceBytes += 1) {
    const { body, endBytes, isEnded } = decode(`${whole}GET / HTTP/1.1`, pieceBytes);
    expect([body, endBytes, isEnded]).toEqual(["abcd0123456789", whole.length, true]);
  }
});

test("chunks of single bytes come as one piece, and what stands behind the body stays as it is", () => {
  const text = `${"1\r\nx\r\n".repeat(10_000)}0\r\n\r\n`;
  const { body, pieces, endBytes } = decode(text);
  expect([body, pieces, endBytes]).toEqual(["x".repeat(10_000), 1, text.length]);
  const bytes = Buffer.from(`${whole}rest`, "latin1");
  const count = new ChunkDecoder().decode(bytes, () => {});
  expect(bytes.subarray(count).toString()).toBe("rest");
});

describe.each([1, 1_000_000])("in pieces of up to %d bytes", (pieceBytes) => {
  test.each([
    "\r\n",
    " 1\r\na\r\n0\r\n\r\n",
    "1 \r\na\r\n0\r\n\r\n",
    "+1\r\na\r\n0\r\n\r\n",
    "-1\r\na\r\n0\r\n\r\n",
    "0x1\r\na\r\n0\r\n\r\n",
    "1\na\r\n0\r\n\r\n",
    "1\r\na\n0\r\n\r\n",
    "1\r\nab\r\n0\r\n\r\n",
    "1\r\na0\r\n\r\n",
    "1\rX\na\r\n0\r\n\r\n",
    "1;a\nb\r\na\r\n0\r\n\r\n",
    "1;\0\r\na\r\n0\r\n\r\n",
    "1,a\r\na\r\n0\r\n\r\n",
    "10000000000000\r\n",
    "0\r\nX\r\n\r\n",
    "0\r\nX : a\r\n\r\n",
    "0\r\n a\r\n\r\n",
    "0\r\nX: a\n\r\n",
    "0\r\nX: a\r\r\n\r\n",
    "0\r\n\n",
    "0\r\nX: \0\r\n\r\n",
    "0\r\nX: a\r\ncontent-Length: 3\r\n\r\n",
    "0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "1;\r\na\r\n0\r\n\r\n",
    '1;a="\r\na\r\n0\r\n\r\n',
    "1;a b\r\na\r\n0\r\n\r\n",
    "0\r\nGET / HTTP/1.1\r\n\r\n",
  ])("%j is broken", (text) => {
    expect(decode(text, pieceBytes)).toMatchObject({ endBytes: -1, isEnded: false });
  });
});

test("extensions and trailers have an end", () => {
  const extended = (count: number): string => `1;${"a".repeat(count)}\r\nb\r\n0\r\n\r\n`;
  expect(decode(extended(chunkLineBytesMax - 1)).isEnded).toBe(true);
  expect(decode(extended(chunkLineBytesMax)).endBytes).toBe(-1);
  const trailed = (count: number): string => `0\r\nX: ${"a".repeat(count - 7)}\r\n\r\n`;
  expect(decode(trailed(trailerBytesMax)).isEnded).toBe(true);
  expect(decode(trailed(trailerBytesMax + 1)).endBytes).toBe(-1);
  expect(decode(`0\r\n${"a:\r\n".repeat(3 * KiB)}`, 1).endBytes).toBe(-1);
});

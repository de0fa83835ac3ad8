import { expect, test } from "bun:test";
import { RequestBody } from "../../../../../runtime/wire/http1/body.ts";
import { BodyMemory } from "../../../../../runtime/wire/http1/body-memory.ts";
import { release } from "../../../../../runtime/wire/http1/chunk-memory.ts";

const source = { bodyWanted: () => {}, balance: () => {}, memory: new BodyMemory(() => {}) };

/** A buffer of its own, as every read of a socket gives one. */
function arrived(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

/** What a body of these bytes gives; null chunks are its end. */
async function chunkOf(body: RequestBody, bytes: Uint8Array): Promise<Uint8Array> {
  body.feed(bytes);
  const chunk = await body.next();
  if (chunk === null) throw new Error("The body has ended");
  return chunk;
}

test("a chunk that fills its buffer is freed", async () => {
  const bytes = arrived("abc");
  release(await chunkOf(new RequestBody(10, source), bytes));
  expect(bytes.buffer.byteLength).toBe(0);
});

test("a chunk behind the head of its request leaves the buffer alone", async () => {
  const bytes = arrived("headabc");
  release(await chunkOf(new RequestBody(10, source), bytes.subarray(4)));
  expect(bytes.buffer.byteLength).toBe(7);
});

test("a chunk between framing is freed with it", async () => {
  const bytes = arrived("2\r\nab\r\n1\r\nc\r\n");
  const chunk = await chunkOf(new RequestBody(null, source), bytes);
  expect(Buffer.from(chunk).toString()).toBe("abc");
  release(chunk);
  expect(bytes.buffer.byteLength).toBe(0);
});

test("a chunk before the next request leaves the buffer alone", async () => {
  const bytes = arrived("3\r\nabc\r\n0\r\n\r\nGET ");
  release(await chunkOf(new RequestBody(null, source), bytes));
  expect(Buffer.from(bytes.buffer).toString("latin1").endsWith("GET ")).toBe(true);
});

test("a framed chunk of a part of a buffer leaves the rest alone", async () => {
  const bytes = arrived("head3\r\nabc\r\n");
  release(await chunkOf(new RequestBody(null, source), bytes.subarray(4)));
  expect(bytes.buffer.byteLength).toBe(12);
});

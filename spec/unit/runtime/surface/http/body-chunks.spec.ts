import { expect, test } from "bun:test";
import { addChunk, joinChunks } from "../../../../../runtime/surface/http/body-chunks.ts";

test("chunks of single bytes are kept in few pieces, in their order, beside long ones", () => {
  const chunks: Uint8Array[] = [];
  const wish = Buffer.alloc(120_000);
  let sizeBytes = 0;
  const add = (count: number): void => {
    const chunk = wish.subarray(sizeBytes, sizeBytes + count).fill(sizeBytes % 251);
    addChunk(chunks, Buffer.from(chunk));
    sizeBytes += count;
  };
  for (let i = 0; i < 50_000; i += 1) add(1);
  add(20_000);
  for (let i = 0; i < 50_000; i += 1) add(1);
  expect(chunks.length).toBeLessThan(110);
  expect(Buffer.from(joinChunks(chunks, sizeBytes)).equals(wish)).toBe(true);
});

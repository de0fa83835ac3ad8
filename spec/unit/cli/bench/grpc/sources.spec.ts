import { expect, test } from "bun:test";
import { Contents } from "../../../../../cli/bench/contents.ts";
import { Blobs } from "../../../../../cli/bench/grpc/blobs.ts";
import { BlobWrites } from "../../../../../cli/bench/grpc/sources.ts";
import { MessageReader } from "../../../../../runtime/wire/grpc/message-reader.ts";
import { decodeWrite } from "../../../../../runtime/wire/proto/byte-stream-messages.ts";

const blobs = new Blobs(new Contents(1), 100_000, { name: "write", seed: 1 });
const nameOf = (index: number): string => `bench/uploads/u/blobs/${blobs.hashOf(index)}/100000`;

/** The messages of one write, and the lengths of the frames that they came in. */
function write(pieceBytes: number, frameBytesMax: number, index: number) {
  const source = new BlobWrites(blobs, pieceBytes, nameOf);
  const reader = new MessageReader(1_000_000);
  const messages: Uint8Array[] = [];
  const frame = Buffer.alloc(frameBytesMax + 10);
  source.begin(0);
  source.fill(frame, 0, 5);
  source.begin(index);
  while (!source.isDone) {
    const count = source.fill(frame, 3, frameBytesMax);
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThanOrEqual(frameBytesMax);
    reader.push(Buffer.from(frame.subarray(3, 3 + count)), (message) => messages.push(message));
  }
  expect(reader.isInside).toBe(false);
  return messages.map((message) => decodeWrite(message));
}

test.each([
  [65_536, 16_384],
  [65_536, 7],
  [16_384, 16_384],
  [100_000, 100],
  [1, 16_384],
])("a write in messages of %d bytes and frames of %d is the blob", (pieceBytes, frameBytesMax) => {
  const requests = write(pieceBytes, frameBytesMax, 3);
  const bytes = Buffer.concat(requests.map((request) => request?.data ?? Buffer.alloc(0)));
  expect(blobs.matches({ index: 3, atBytes: 0 }, bytes, 0, bytes.length)).toBe(true);
  expect(bytes).toHaveLength(100_000);
  expect(requests).toHaveLength(Math.ceil(100_000 / pieceBytes));
  let offsetBytes = 0;
  for (const [place, request] of requests.entries()) {
    expect(request?.resourceName).toBe(place === 0 ? nameOf(3) : "");
    expect(request?.writeOffset).toBe(offsetBytes);
    expect(request?.finishWrite).toBe(place === requests.length - 1);
    offsetBytes += request?.data.length ?? 0;
  }
});

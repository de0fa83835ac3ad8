import { expect, test } from "bun:test";
import { KiB, MiB, minute } from "../../runtime/base/units.ts";
import { writeByGrpc } from "../support/grpc-load.ts";
import { startNode } from "../support/node-process.ts";

const capacityBytes = 192 * MiB;
const uploadersAtOnce = 24;
const uploads = 96;

type Shape = { readonly name: string; readonly sizeOf: (share: number) => number };

/** Together on their way they are several times what the store takes. */
const shapes: readonly Shape[] = [
  { name: "of 12 to 24 MiB", sizeOf: (share) => Math.floor((1 + share) * 12 * MiB) },
  { name: "of 1 KiB to 40 MiB", sizeOf: (share) => KiB + Math.floor(share ** 6 * 40 * MiB) },
];
const ways = shapes.flatMap((shape) => [false, true].map((isChunked) => ({ ...shape, isChunked })));

test.each(ways)(
  "many uploads $name at once, of unknown length: $isChunked, are all stored by a store that is full",
  async ({ sizeOf, isChunked }) => {
    await using node = await startNode({
      env: { KURA_CAS_CAPACITY_BYTES: String(capacityBytes) },
    });
    const source = new Uint8Array(sizeOf(1)).fill(7);
    const statuses = new Map<number, number>();
    let next = 0;
    const uploader = async (): Promise<void> => {
      while (next < uploads) {
        const number = next++;
        // In an order that has large and small ones beside each other, the same in each run.
        const body = source.subarray(0, sizeOf(((number * 61) % uploads) / uploads));
        const target = `${node.url}/api/cache/gradle/${number}?tenant_id=a&namespace_id=b`;
        const answer = await fetch(target, {
          method: "PUT",
          body: isChunked ? streamOf(body) : body,
        });
        await answer.arrayBuffer();
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: uploadersAtOnce }, uploader));
    expect(Object.fromEntries(statuses)).toEqual({ 201: uploads });
  },
  5 * minute,
);

test(
  "many uploads over few connections of gRPC are all stored by a store that is full",
  async () => {
    await using node = await startNode({
      env: { KURA_CAS_CAPACITY_BYTES: String(capacityBytes) },
    });
    const load = { sizes: "20MiB", piece: "1MiB", requests: 96, concurrency: 24, connections: 3 };
    expect(await writeByGrpc(node.grpcUrl, load)).toEqual([]);
  },
  5 * minute,
);

/** Sent in chunks, for want of a length. */
function streamOf(body: Uint8Array): ReadableStream<Uint8Array> {
  const pieceBytes = 256 * KiB;
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= body.length) return controller.close();
      controller.enqueue(body.slice(at, at + pieceBytes));
      at += pieceBytes;
    },
  });
}

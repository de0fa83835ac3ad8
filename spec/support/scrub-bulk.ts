import { GiB, KiB, MiB } from "../../runtime/base/units.ts";
import { fill, fillBody, fillPath } from "./load.ts";
import { openLoadConnection } from "./load-client.ts";

/** Bodies of three ways to be kept: read whole, sent from a segment, in files of their own. */
const layers = [
  { share: 0.3, bodyBytes: 32 * KiB },
  { share: 0.3, bodyBytes: 700 * KiB },
  { share: 0.4, bodyBytes: 4 * MiB },
];

export type Bulk = { readonly totalBytes: number; readonly sizes: ReadonlyMap<number, number> };

/** Fills a node with some GiB of artifacts of known contents. */
export async function fillBulk(port: number, gibibytes: number): Promise<Bulk> {
  const sizes = new Map<number, number>();
  let first = 1;
  for (const { share, bodyBytes } of layers) {
    const count = Math.ceil((share * gibibytes * GiB) / bodyBytes);
    await fill({ port, first, count, bodyBytes, connections: 8 });
    for (let i = first; i < first + count; i++) sizes.set(i, bodyBytes);
    first += count;
  }
  const totalBytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  return { totalBytes, sizes };
}

/** Reads each of these; returns how many were a miss. @throws when one has other bytes than were written. */
export async function countMisses(
  port: number,
  { sizes }: Bulk,
  indexes: Iterable<number>,
): Promise<number> {
  const connection = openLoadConnection(port);
  let misses = 0;
  for (const index of indexes) {
    const found = await connection.exchange({ method: "GET", target: fillPath(index) });
    if (found.at === "answered" && found.status === 404) misses += 1;
    else if (found.at === "lost" || !isSame(found.body, fillBody(index, sizes.get(index) ?? 0))) {
      throw new Error(`${fillPath(index)} gave something else: ${found.at}`);
    }
  }
  connection.close();
  return misses;
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

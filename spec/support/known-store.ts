import type { Random } from "../../runtime/base/random.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import type { FaultRun } from "./fault-run.ts";
import { idOfKey } from "./file-map.ts";
import { type LoadConnection, openLoadConnection } from "./load-client.ts";
import { drawSkewed, keyValueBytesMax } from "./load-sizes.ts";
import {
  cleanRequest,
  getRequest,
  keyText,
  type LoadKey,
  makeContent,
  putRequest,
  readFound,
  surfaces,
  type Value,
} from "./load-surface.ts";

/** What a store holds that was filled on purpose: for each key the value now, and those it had before. */
export type KnownKey = {
  readonly key: LoadKey;
  readonly id: string;
  /** Null when it was cleaned. */
  value: Value | null;
  readonly earlier: Value[];
};
export type KnownStore = ReadonlyMap<string, KnownKey>;

const connectionCount = 16;

/** How many keys of which sizes; half of the small ones have one size, so that there are equal records to swap. */
const layers = [
  { count: 220, minBytes: 1, maxBytes: 4 * KiB },
  { count: 200, minBytes: 600, maxBytes: 600 },
  { count: 20, minBytes: 4 * KiB, maxBytes: 64 * KiB },
  { count: 16, minBytes: 64 * KiB, maxBytes: 256 * KiB },
  { count: 10, minBytes: 256 * KiB, maxBytes: MiB },
  { count: 8, minBytes: MiB + 1, maxBytes: 3 * MiB },
];
/** The node is started anew between these parts, so that the keys lie in several files. */
const parts = 3;

/** Fills the data directory of a run: all surfaces and sizes, overwrites, cleaned keys; and stops the node. */
export async function fillKnownStore(run: FaultRun): Promise<Map<string, KnownKey>> {
  const known = new Map<string, KnownKey>();
  for (let part = 0; part < parts; part++) {
    const node = await run.start();
    for (const layer of layers) {
      const keys = Array.from({ length: Math.ceil(layer.count / parts) }, () =>
        nextKey(known, run.random, part),
      );
      await putAll(node.port, run, keys, layer);
    }
    await overwriteSome(node.port, run, known);
    await cleanPart(node.port, known, part);
    await node.stop();
  }
  // One more file without records: what is damaged below lies in sealed files only.
  const last = await run.start();
  await last.stop();
  return known;
}

/** A few more of every size, through a node that runs. */
export async function fillMore(
  port: number,
  run: FaultRun,
  known: Map<string, KnownKey>,
): Promise<void> {
  for (const layer of layers) {
    const count = Math.ceil(layer.count / 8);
    // Whatever is cleaned is in the parts before: these stay.
    const keys = Array.from({ length: count }, () => nextKey(known, run.random, parts));
    await putAll(port, run, keys, layer);
  }
}

/** Other contents under keys of which nothing can be read any more. */
export async function putAgain(port: number, run: FaultRun, keys: KnownKey[]): Promise<void> {
  await putAll(port, run, keys, { minBytes: 1, maxBytes: 64 * KiB });
}

function nextKey(known: Map<string, KnownKey>, random: Random, part: number): KnownKey {
  const surface = surfaces[random.below(surfaces.length)]!;
  const isFixed = surface === "nx" || surface === "metro";
  const namespace = isFixed ? surface : pickNamespace(random, part);
  const key = { surface, namespace, index: known.size };
  const entry: KnownKey = { key, id: idOfKey(key), value: null, earlier: [] };
  known.set(keyText(key), entry);
  return entry;
}

/** One of eight keys lies in a namespace that is cleaned at the end of its part. */
function pickNamespace(random: Random, part: number): string {
  return random.below(8) === 0 ? `cleaned${part}` : `kept${random.below(3)}`;
}

type Sizes = { minBytes: number; maxBytes: number };

async function putAll(port: number, run: FaultRun, keys: KnownKey[], sizes: Sizes) {
  await inParallel(port, keys, async (entry, connection) => {
    const drawnBytes = drawSkewed(run.random, sizes.minBytes, sizes.maxBytes);
    const isKeyValue = entry.key.surface === "keyvalue";
    const sizeBytes = isKeyValue ? Math.min(drawnBytes, keyValueBytesMax) : drawnBytes;
    const text = `${run.seed} ${keyText(entry.key)} ${entry.earlier.length}`;
    const isChunked = entry.key.surface === "metro";
    const { request, value } = putRequest(entry.key, makeContent(text, sizeBytes), { isChunked });
    const exchange = await connection.exchange(request);
    if (exchange.at === "lost" || exchange.status >= 300) {
      throw new Error(`Cannot fill ${keyText(entry.key)}: ${JSON.stringify(exchange)}`);
    }
    if (entry.value !== null) entry.earlier.push(entry.value);
    entry.value = value;
  });
}

async function overwriteSome(port: number, run: FaultRun, known: KnownStore): Promise<void> {
  const mutable = [...known.values()].filter(
    ({ key, value }) => key.surface === "keyvalue" && value !== null && run.random.below(2) === 0,
  );
  await putAll(port, run, mutable, { minBytes: 600, maxBytes: 600 });
}

async function cleanPart(port: number, known: KnownStore, part: number): Promise<void> {
  const connection = openLoadConnection(port);
  const exchange = await connection.exchange(cleanRequest(`cleaned${part}`));
  connection.close();
  if (exchange.at === "lost" || exchange.status !== 204) throw new Error("Cannot clean");
  for (const entry of known.values()) {
    if (entry.key.namespace !== `cleaned${part}` || entry.value === null) continue;
    entry.earlier.push(entry.value);
    entry.value = null;
  }
}

/** Reads every key. */
export async function readKnownStore(
  port: number,
  known: KnownStore,
): Promise<Map<string, Value | null>> {
  const found = new Map<string, Value | null>();
  await inParallel(port, [...known.values()], async ({ key }, connection) => {
    const answer = readFound(key, await connection.exchange(getRequest(key)));
    if (answer.at === "failed") throw new Error(`Cannot read ${keyText(key)}: ${answer.reason}`);
    found.set(keyText(key), answer.value);
  });
  return found;
}

async function inParallel<Item>(
  port: number,
  items: readonly Item[],
  work: (item: Item, connection: LoadConnection) => Promise<void>,
): Promise<void> {
  let next = 0;
  const loop = async (): Promise<void> => {
    const connection = openLoadConnection(port);
    for (let i = next++; i < items.length; i = next++) await work(items[i]!, connection);
    connection.close();
  };
  await Promise.all(Array.from({ length: connectionCount }, loop));
}

import { systemClock } from "../../runtime/base/clock.ts";
import { seededRandom } from "../../runtime/base/random.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
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
  type Value,
} from "./load-surface.ts";

export type Foreground = {
  /** Milliseconds of each call so far. */
  readonly waitsMs: number[];
  /** Calls of each kind. */
  readonly counts: Record<"get" | "put" | "clean", number>;
  /** Ends all lanes. @throws what went wrong in one: a failed call, a wrong value. */
  stop(): Promise<void>;
};

const lanesMax = 6;
const keysPerLane = 60;
/** In a hundred; the rest reads. */
const share = { put: 35, clean: 1 };

/**
 * Clients that write, overwrite, clean and read artifacts of their own; another seed has other namespaces.
 * `isEvicting`: what was written may be gone at any time, so a read may be a miss or find any earlier value.
 */
export function startForeground(port: number, seed: number, isEvicting = false): Foreground {
  const waitsMs: number[] = [];
  const counts = { get: 0, put: 0, clean: 0 };
  let isStopping = false;
  const lanes = Array.from({ length: lanesMax }, async (_, number) => {
    const lane = new Lane(openLoadConnection(port), { seed, number, isEvicting });
    while (!isStopping) {
      const startMs = systemClock.monotonicMs();
      counts[await lane.step()] += 1;
      waitsMs.push(systemClock.monotonicMs() - startMs);
    }
    lane.close();
  });
  const all = Promise.all(lanes);
  all.catch(() => {});
  return {
    waitsMs,
    counts,
    async stop() {
      isStopping = true;
      await all;
    },
  };
}

/** One client with a namespace of its own: nobody else changes what it reads. */
class Lane {
  readonly #connection: LoadConnection;
  readonly #random;
  readonly #namespace: string;
  readonly #isEvicting: boolean;
  /** By the text of its key, what each artifact has now and what was ever written for it. */
  readonly #values = new Map<string, Value | null>();
  readonly #everWritten = new Map<string, Set<Value>>();
  #written = 0;

  constructor(
    connection: LoadConnection,
    { seed, number, isEvicting }: { seed: number; number: number; isEvicting: boolean },
  ) {
    this.#connection = connection;
    this.#isEvicting = isEvicting;
    this.#random = seededRandom(seed + number);
    this.#namespace = `lane${seed}-${number}`;
  }

  close(): void {
    this.#connection.close();
  }

  async step(): Promise<"get" | "put" | "clean"> {
    const draw = this.#random.below(100);
    const key = this.#drawKey();
    if (draw < share.put) return await this.#put(key);
    return draw < share.put + share.clean ? await this.#clean() : await this.#get(key);
  }

  /** Key-value entries may be replaced; a blob is written once in each life of its namespace. */
  #drawKey(): LoadKey {
    const index = this.#random.below(keysPerLane);
    const surface = index % 2 === 0 ? "keyvalue" : "gradle";
    return { surface, namespace: this.#namespace, index };
  }

  async #put(key: LoadKey): Promise<"put"> {
    const isLarge = key.surface === "gradle" && key.index % 10 === 1;
    const drawnBytes = isLarge
      ? drawSkewed(this.#random, MiB + 1, 3 * MiB)
      : drawSkewed(this.#random, 1, 300 * KiB);
    const sizeBytes = Math.min(drawnBytes, key.surface === "keyvalue" ? keyValueBytesMax : 4 * MiB);
    this.#written += 1;
    const content = makeContent(`${keyText(key)} ${this.#written}`, sizeBytes);
    const { request, value } = putRequest(key, content);
    const written = this.#everWritten.get(keyText(key)) ?? new Set();
    this.#everWritten.set(keyText(key), written.add(value));
    const exchange = await this.#connection.exchange(request);
    if (exchange.at === "lost" || exchange.status >= 300) {
      throw new Error(`put ${keyText(key)}: ${JSON.stringify(exchange).slice(0, 300)}`);
    }
    const held = this.#values.get(keyText(key)) ?? null;
    const isReplaced = held === null || key.surface === "keyvalue";
    if (isReplaced) this.#values.set(keyText(key), value);
    return "put";
  }

  async #get(key: LoadKey): Promise<"get"> {
    const found = readFound(key, await this.#connection.exchange(getRequest(key)));
    const held = this.#values.get(keyText(key)) ?? null;
    if (found.at === "value" && this.#isEvicting) {
      const { value } = found;
      if (value === null || this.#everWritten.get(keyText(key))?.has(value)) return "get";
    }
    if (found.at === "failed" || found.value !== held) {
      throw new Error(`get ${keyText(key)}: ${JSON.stringify(found)}, not ${held}`);
    }
    return "get";
  }

  async #clean(): Promise<"clean"> {
    const exchange = await this.#connection.exchange(cleanRequest(this.#namespace));
    if (exchange.at === "lost" || exchange.status !== 204) throw new Error("Cannot clean");
    this.#values.clear();
    return "clean";
  }
}

/** Of many waits the one that a hundredth of them exceed. */
export function p99(waitsMs: readonly number[]): number {
  const sorted = [...waitsMs].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
}

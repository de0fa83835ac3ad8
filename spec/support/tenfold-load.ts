import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { KiB } from "../../runtime/base/units.ts";
import { artifactLayers, drawLayered, NumberedBlobs, NumberedBodies } from "./action-blobs.ts";
import { ActionClient, CallRefused } from "./action-client.ts";
import { GrpcCaller } from "./grpc-caller.ts";
import { type LoadConnection, openLoadConnection } from "./load-client.ts";
import { getRequest, type LoadKey, putRequest } from "./load-surface.ts";
import type { NodeProcess } from "./node-process.ts";

/** What a load has come to so far. */
export type TenfoldTotals = {
  writtenBytes: number;
  writes: number;
  /** Results that were served and of which every blob was looked for at once. */
  served: number;
  /** Results that were not there any more. */
  missed: number;
  /** Reads of other artifacts that were served. */
  reads: number;
  /** Answers that refused, by what they said, and how often. */
  readonly refusals: Map<string, number>;
  /** Blobs that were absent although a served result named them. */
  readonly absent: string[];
};

export type TenfoldLoadOptions = {
  readonly node: Pick<NodeProcess, "port" | "grpcPort">;
  readonly seed: number;
  /** Half of them speak HTTP, half gRPC. */
  readonly writers: number;
  readonly readers: number;
  /** One result is read for so many written bytes, so that every stretch does the same work. */
  readonly bytesPerResult: number;
  /** What the readers ask for. */
  readonly wish: ReadWish;
};

/**
 * `popular`: mostly what everybody asks for, sometimes what was stored a moment ago, seldom anything that ever was.
 * `everything`: each artifact soon after it was stored, so that there is nothing that nobody has read.
 */
export type ReadWish = "popular" | "everything";

type WishFigures = {
  readonly popular: number;
  readonly recent: number;
  readonly recentCount: number;
};

/** Of a hundred reads, the rest asks for anything that ever was; and how many of the last ones are recent. */
const wishes: Readonly<Record<ReadWish, WishFigures>> = {
  popular: { popular: 96, recent: 3, recentCount: 32 },
  everything: { popular: 0, recent: 100, recentCount: 8 },
};

/** A stretch ends when both are reached. */
export type Stretch = { readonly bytes: number; readonly served?: number };

type Written = { readonly key: LoadKey; readonly number: number };

const blobsPerResult = 10;
const olderPerResult = 3;
const sharedBlobs = 64;
/** The first ones are what everybody asks for: they stay the oldest data there is. */
const popularActions = 64;
const popularArtifacts = 512;
const answerMsMax = 90_000;
const keyValueBytesMax = 64 * KiB;
const instance = "tenfold";
const refusalsMax = 200;

/** 32 clients that write and some that read, of all kinds and sizes, as fast as they are answered. */
export class TenfoldLoad {
  readonly totals: TenfoldTotals = {
    writtenBytes: 0,
    writes: 0,
    served: 0,
    missed: 0,
    reads: 0,
    refusals: new Map(),
    absent: [],
  };
  readonly blobs: NumberedBlobs;
  readonly client: ActionClient;
  /** When the node last vouched for a blob, by its number, in milliseconds of `performance.now`. */
  readonly vouchedMs = new Map<number, number>();
  readonly #options: TenfoldLoadOptions;
  readonly #random: Random;
  readonly #bodies: NumberedBodies;
  readonly #caller: GrpcCaller;
  readonly #connections: LoadConnection[] = [];
  /** Blobs of each action that was stored. */
  readonly #actions: (readonly number[])[] = [];
  readonly #artifacts: Written[] = [];
  #blobCount = 0;
  #artifactCount = 0;
  #readPermits = 0;
  #endBytes = 0;
  #endServed = 0;

  constructor(options: TenfoldLoadOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#bodies = new NumberedBodies(options.seed);
    this.blobs = new NumberedBlobs(options.seed);
    this.#caller = new GrpcCaller(options.node.grpcPort);
    this.client = new ActionClient(this.#caller, this.blobs, instance);
  }

  /** Goes on until so much more is written and served. @throws when an answer is wrong. */
  async run({ bytes, served = 0 }: Stretch): Promise<void> {
    const { writers, readers } = this.#options;
    this.#endBytes = this.totals.writtenBytes + bytes;
    this.#endServed = this.totals.served + served;
    this.#readPermits = 0;
    const work = [
      ...times(writers / 2, (lane) => this.#writeArtifacts(this.#connection(lane))),
      ...times(writers / 2, () => this.#writeActions()),
      ...times(readers, (lane) => this.#read(this.#connection(writers / 2 + lane))),
    ];
    await Promise.all(work);
  }

  /** Of the blobs vouched for since `sinceMs`, those that are not there. */
  async lostSince(sinceMs: number): Promise<{ vouched: number; lost: number }> {
    const numbers = [...this.vouchedMs].flatMap(([number, atMs]) =>
      atMs >= sinceMs ? number : [],
    );
    let lost = 0;
    for (let at = 0; at < numbers.length; at += 500) {
      lost += (await this.client.missing(numbers.slice(at, at + 500))).length;
    }
    return { vouched: numbers.length, lost };
  }

  close(): void {
    this.#caller.close();
    for (const connection of this.#connections) connection.close();
  }

  get #isOver(): boolean {
    const { writtenBytes, served } = this.totals;
    return writtenBytes >= this.#endBytes && served >= this.#endServed;
  }

  #connection(lane: number): LoadConnection {
    this.#connections[lane] ??= openLoadConnection(this.#options.node.port, answerMsMax);
    return this.#connections[lane];
  }

  #wrote(bytes: number): void {
    this.totals.writes += 1;
    this.totals.writtenBytes += bytes;
    this.#readPermits += bytes / this.#options.bytesPerResult;
  }

  /** @throws when the node refuses so much that the load would never end. */
  #refused(what: string): void {
    const { refusals } = this.totals;
    refusals.set(what, (refusals.get(what) ?? 0) + 1);
    const count = [...refusals.values()].reduce((sum, one) => sum + one, 0);
    if (count < refusalsMax) return;
    throw new Error(`The node refuses: ${[...refusals].map(([why, n]) => `${n} x ${why}`)}`);
  }

  async #writeArtifacts(connection: LoadConnection): Promise<void> {
    while (!this.#isOver) {
      const number = this.#artifactCount++;
      const key = keyOf(number);
      const drawnBytes = drawLayered(this.#random, artifactLayers);
      const isKeyValue = key.surface === "keyvalue";
      const sizeBytes = isKeyValue ? Math.min(drawnBytes, keyValueBytesMax) : drawnBytes;
      const body = this.#bodies.make(number, sizeBytes);
      const answer = await connection.exchange(putRequest(key, body).request);
      if (answer.at === "answered" && answer.status < 300) {
        this.#wrote(sizeBytes);
        this.#artifacts.push({ key, number });
      } else {
        this.#refused(answer.at === "lost" ? answer.reason : `${key.surface} ${answer.status}`);
        await Bun.sleep(1);
      }
    }
  }

  /** As Bazel stores an action: asks what is missing, sends that, then the result that names all. */
  async #writeActions(): Promise<void> {
    while (!this.#isOver) {
      const numbers = this.#drawOutputs();
      try {
        const missing = await this.client.missing(numbers);
        this.#vouched(numbers.filter((number) => !missing.includes(number)));
        const sentBytes = await this.client.upload(missing);
        const action = this.#actions.length;
        this.#actions.push(numbers);
        this.#wrote(sentBytes + (await this.client.putResult(action, numbers)));
      } catch (error) {
        if (!(error instanceof CallRefused)) throw error;
        this.#refused(error.message);
        await Bun.sleep(1);
      }
    }
  }

  /** Mostly new blobs, and some of those that many actions share. */
  #drawOutputs(): number[] {
    const numbers = new Set<number>();
    const knownCount = this.#blobCount;
    for (let i = 0; i < olderPerResult && knownCount > 0; i++) {
      numbers.add(skewed(this.#random, Math.min(knownCount, sharedBlobs)));
    }
    while (numbers.size < blobsPerResult) numbers.add(this.#blobCount++);
    return [...numbers];
  }

  async #read(connection: LoadConnection): Promise<void> {
    while (!this.#isOver) {
      if (this.#readPermits < 1 || this.#actions.length === 0) {
        await Bun.sleep(1);
        continue;
      }
      this.#readPermits -= 1;
      try {
        await this.#readAction();
        await this.#readArtifact(connection);
      } catch (error) {
        if (!(error instanceof CallRefused)) throw error;
        this.#refused(`reading: ${error.message}`);
      }
    }
  }

  /** A result that is served must have all its blobs: they are looked for at once, and read. */
  async #readAction(): Promise<void> {
    const action = this.#drawPlace(this.#actions.length, popularActions);
    const numbers = this.#actions[action] ?? [];
    if (!(await this.client.hasResult(action, numbers))) {
      this.totals.missed += 1;
      this.#readPermits += 1;
      return;
    }
    this.totals.served += 1;
    const missing = await this.client.missing(numbers);
    const unreadable = await this.client.unreadable(numbers);
    this.#vouched(numbers);
    for (const number of missing) this.totals.absent.push(`blob ${number} of ${action} is missing`);
    for (const number of unreadable) {
      this.totals.absent.push(`blob ${number} of ${action} cannot be read`);
    }
  }

  async #readArtifact(connection: LoadConnection): Promise<void> {
    const { length } = this.#artifacts;
    if (length === 0) return;
    const { key, number } = this.#artifacts[this.#drawPlace(length, popularArtifacts)]!;
    const answer = await connection.exchange(getRequest(key));
    if (answer.at === "lost" || (answer.status !== 200 && answer.status !== 404)) {
      this.#refused(`reading: ${answer.at === "lost" ? answer.reason : answer.status}`);
    } else if (answer.status === 200) {
      const isRight = key.surface === "keyvalue" || this.#bodies.isRight(number, answer.body);
      if (!isRight) throw new Error(`Artifact ${number} has other bytes than were written`);
      this.totals.reads += 1;
    }
  }

  #drawPlace(length: number, popularCount: number): number {
    const { popular, recent, recentCount } = wishes[this.#options.wish];
    const draw = this.#random.below(100);
    if (draw < popular) return skewed(this.#random, Math.min(length, popularCount));
    if (draw < popular + recent) {
      return Math.max(0, length - 1 - this.#random.below(recentCount));
    }
    return this.#random.below(length);
  }

  #vouched(numbers: readonly number[]): void {
    const nowMs = performance.now();
    for (const number of numbers) this.vouchedMs.set(number, nowMs);
  }
}

const surfacesOfLoad = ["xcode", "gradle", "keyvalue", "metro"] as const;

function keyOf(number: number): LoadKey {
  const surface = surfacesOfLoad[number % surfacesOfLoad.length]!;
  return { surface, namespace: instance, index: number };
}

/** Every doubling below the bound is equally likely: low numbers come far more often. */
function skewed(random: Random, bound: number): number {
  return Math.floor((bound + 1) ** (random.below(10_000) / 10_000)) - 1;
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

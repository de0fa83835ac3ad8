import type { Random } from "../../runtime/base/random.ts";
import { second } from "../../runtime/base/units.ts";
import type { Judge } from "./judge.ts";
import { type LoadConnection, type LoadRequest, openLoadConnection } from "./load-client.ts";
import type { KeySpace } from "./load-keys.ts";
import { drawSmallBytes, keyValueBytesMax, type PlannedBody } from "./load-sizes.ts";
import {
  cleanRequest,
  getRequest,
  keyText,
  type LoadKey,
  makeContent,
  outcomeOf,
  putRequest,
  readFound,
} from "./load-surface.ts";
import { until } from "./node-process.ts";

export type LoadOptions = {
  readonly port: number;
  readonly judge: Judge;
  readonly keySpace: KeySpace;
  readonly random: Random;
  readonly writers: number;
  /** Bodies above 64 KiB to be mixed into the first puts, in any order. */
  readonly plannedBodies: readonly PlannedBody[];
  readonly cleans: number;
};

export type LoadProgress = {
  acknowledgedWrites: number;
  acknowledgedCleans: number;
  /** Answers by status, `lost` for none: shows what a load that gets nowhere was told. */
  readonly answers: Record<string, number>;
};

export interface Load {
  readonly progress: LoadProgress;
  /** Resolves when so many writes and cleans are acknowledged. */
  reached(writes: number, cleans: number): Promise<void>;
  /** Lets the calls under way end and closes the connections. */
  stop(): Promise<void>;
}

const reachMsMax = 60 * second;
/** Share of each call in a hundred; the rest puts a name that is not there. */
const share = { get: 16, putExisting: 10, putCut: 2, putBad: 2 };
/** The planned bodies fall among so many puts, so that they are all under way before the earliest kill. */
const plannedAmongPuts = 150;
/** The first clean comes after so many acknowledged writes at most, the next ones after as many again. */
const writesBetweenCleans = 90;

/** Starts `writers` loops that put, get, cut and clean until stopped; what happens is told to the judge. */
export function startLoad(options: LoadOptions): Load {
  const load = new RunningLoad(options);
  load.start();
  return load;
}

class RunningLoad implements Load {
  readonly progress: LoadProgress = { acknowledgedWrites: 0, acknowledgedCleans: 0, answers: {} };
  readonly #options: LoadOptions;
  readonly #planned = new Map<number, PlannedBody>();
  #putCount = 0;
  #cleansStarted = 0;
  #nextCleanAt: number;
  #isStopping = false;
  #loops: Promise<void>[] = [];

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#nextCleanAt = options.random.below(writesBetweenCleans);
    for (const body of options.plannedBodies) {
      this.#planned.set(options.random.below(plannedAmongPuts), body);
    }
  }

  start(): void {
    for (let i = 0; i < this.#options.writers; i++) this.#loops.push(this.#loop());
  }

  reached(writes: number, cleans: number): Promise<void> {
    const { progress } = this;
    const what = `${writes} acknowledged writes and ${cleans} cleans`;
    return until(
      what,
      () => progress.acknowledgedWrites >= writes && progress.acknowledgedCleans >= cleans,
      reachMsMax,
    ).catch((error: unknown) => {
      throw new Error(`The load got nowhere: ${JSON.stringify(progress)}`, { cause: error });
    });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#loops);
  }

  async #loop(): Promise<void> {
    const connection = openLoadConnection(this.#options.port);
    while (!this.#isStopping) {
      const isAlive = await this.#step(connection);
      if (!isAlive) break;
    }
    connection.close();
  }

  /** One call; false when the node does not take connections any more. */
  async #step(connection: LoadConnection): Promise<boolean> {
    const { random, keySpace, cleans } = this.#options;
    if (this.#cleansStarted < cleans && this.progress.acknowledgedWrites >= this.#nextCleanAt) {
      this.#cleansStarted++;
      this.#nextCleanAt += writesBetweenCleans;
      return await this.#clean(connection, keySpace.drawNamespace(random));
    }
    let draw = random.below(100);
    const existing = keySpace.drawExisting(random);
    if (existing !== null) {
      if (draw < share.get) return await this.#get(connection, existing);
      draw -= share.get;
      if (draw < share.putExisting) return await this.#put(connection, existing);
      draw -= share.putExisting;
    }
    const fresh = keySpace.drawFresh(random);
    if (draw < share.putCut) return await this.#putCut(connection, fresh);
    if (draw < share.putCut + share.putBad) return await this.#putBad(connection, fresh);
    return await this.#put(connection, fresh);
  }

  #drawBody(key: LoadKey): { content: Uint8Array; isChunked: boolean } {
    const { random, keySpace } = this.#options;
    const planned = this.#planned.get(this.#putCount++);
    const isChunked = planned?.isChunked ?? (key.surface === "metro" || random.below(8) === 0);
    const drawnBytes = planned?.sizeBytes ?? drawSmallBytes(random);
    const sizeBytes =
      key.surface === "keyvalue" ? Math.min(drawnBytes, keyValueBytesMax) : drawnBytes;
    return { content: makeContent(keySpace.nextContentName(key), sizeBytes), isChunked };
  }

  async #put(connection: LoadConnection, key: LoadKey): Promise<boolean> {
    const { content, isChunked } = this.#drawBody(key);
    const { request, value } = putRequest(key, content, { isChunked });
    const op = this.#options.judge.put(keyText(key), value);
    return await this.#change(connection, request, op);
  }

  /** A body that ends early: it must not be readable, and nothing of it either. */
  async #putCut(connection: LoadConnection, key: LoadKey): Promise<boolean> {
    const { random, judge } = this.#options;
    const { content, isChunked } = this.#drawBody(key);
    const { request, value } = putRequest(key, content, { isChunked });
    const cutAfterBytes = random.below(request.body?.length ?? 0);
    const op = judge.put(keyText(key), value);
    return await this.#change(connection, { ...request, cutAfterBytes }, op);
  }

  /** A key-value document that is not one: the answer is 400. */
  async #putBad(connection: LoadConnection, key: LoadKey): Promise<boolean> {
    const bad: LoadKey = { ...key, surface: "keyvalue", namespace: this.#badNamespace(key) };
    const { request, value } = putRequest(bad, this.#drawBody(bad).content);
    const body = request.body?.subarray(0, request.body.length - 1) ?? new Uint8Array(0);
    const op = this.#options.judge.put(keyText(bad), value);
    return await this.#change(connection, { ...request, body }, op);
  }

  /** Nx and Metro have no key-value entries in their namespace that the key space would know of. */
  #badNamespace(key: LoadKey): string {
    return key.surface === "nx" || key.surface === "metro" ? "bad" : key.namespace;
  }

  async #change(connection: LoadConnection, request: LoadRequest, op: number): Promise<boolean> {
    const exchange = await connection.exchange(request);
    this.#count(exchange.at === "lost" ? "lost" : String(exchange.status));
    const outcome = outcomeOf(exchange);
    this.#options.judge.accept({ at: "outcome", op, outcome });
    if (outcome === "acknowledged") this.progress.acknowledgedWrites++;
    return exchange.at === "answered" || exchange.isConnected;
  }

  async #clean(connection: LoadConnection, namespace: string): Promise<boolean> {
    const { judge, keySpace } = this.#options;
    const op = judge.clean(namespace);
    const exchange = await connection.exchange(cleanRequest(namespace));
    this.#count(exchange.at === "lost" ? "clean lost" : `clean ${exchange.status}`);
    const outcome = outcomeOf(exchange);
    judge.accept({ at: "outcome", op, outcome });
    if (outcome === "acknowledged") {
      keySpace.cleaned(namespace);
      this.progress.acknowledgedCleans++;
    }
    return exchange.at === "answered" || exchange.isConnected;
  }

  async #get(connection: LoadConnection, key: LoadKey): Promise<boolean> {
    const { judge } = this.#options;
    const op = judge.get(keyText(key));
    const exchange = await connection.exchange(getRequest(key));
    this.#count(exchange.at === "lost" ? "lost" : `get ${exchange.status}`);
    const found = readFound(key, exchange);
    if (found.at === "value") judge.accept({ at: "found", op, value: found.value });
    else judge.accept({ at: "unread", op, reason: found.reason });
    return exchange.at === "answered" || exchange.isConnected;
  }

  #count(answer: string): void {
    this.progress.answers[answer] = (this.progress.answers[answer] ?? 0) + 1;
  }
}

import { assert } from "../base/assert.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { asFault, type Fault } from "../base/fault.ts";
import { second } from "../base/units.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { axis, CounterGrid } from "../observe/metrics-grid.ts";
import { checkPair, type PairFiles, type PairPaths, readPair, type TlsPair } from "./tls-pair.ts";

/**
 * How often both files are read and compared. Two small reads cost 0.1 ms; times and inodes would miss a file that was
 * restored with its old time, and a link that was swapped to a copy.
 */
const lookEveryMs = 5 * second;

/** Old listeners that wait for their last download. Beyond it the oldest is cut: eight changes within one download. */
const retiredMax = 8;

/**
 * How long both listen. The system resets connections that it has taken for a listener and that the process has not
 * when the listener closes, so the old one gets turns of the loop first. What comes in its very last moment is still
 * lost: 7 of 29,000 connections over 120 changes (measured on 2026-11-22), 24 without the overlap.
 */
const overlapMs = 100;

const outcomes = ["ok", "refused"] as const;

/** A listener with the certificate that it was started with. */
export type TlsListener = {
  readonly port: number;
  /** Requests whose answer has not been sent to its end. */
  readonly pendingRequests: number;
  readonly connectionCount: number;
  stop(isAtOnce: boolean): void;
};

export type ReloadedTlsDeps = {
  /** Which certificate it is, in logs and in the names of metrics. */
  readonly name: "public" | "grpc";
  readonly paths: PairPaths;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
};

/**
 * A port with TLS. Bun takes no new certificate into a running listener (measured on 1.4.5), so a change of the files
 * starts a second one on the port and lets the first finish what it has begun.
 */
export class ReloadedTls {
  readonly #deps: ReloadedTlsDeps;
  readonly #reloads: CounterGrid;
  #pair: TlsPair | null = null;
  #listener: TlsListener | null = null;
  /** Those whose place another one has taken, while they still have connections. */
  #retired: TlsListener[] = [];
  #start: ((pair: TlsPair) => TlsListener) | null = null;
  #timer: Timer | null = null;
  /** What was refused last, so that it is told once: the content, or the reason why there was none. */
  #refused: string | null = null;

  constructor(deps: ReloadedTlsDeps) {
    const { name, metrics } = deps;
    this.#deps = deps;
    this.#reloads = new CounterGrid(metrics.registry, {
      name: `kura_${name}_tls_reloads_total`,
      help: `Changes of the ${name} certificate that were taken or refused.`,
      axes: [axis("result", outcomes)],
    });
    metrics.gauge(
      `kura_${name}_tls_certificate_expiry_seconds`,
      `Unix time at which the ${name} certificate in use expires.`,
      () => this.#pair?.expiresSeconds ?? null,
    );
  }

  /**
   * Reads the first pair. Touches nothing else, so that a node that cannot use it has left no trace.
   * @throws Fault "configuration".
   */
  load(): void {
    const { disk, paths } = this.#deps;
    this.#pair = this.#check(readPair(disk, paths));
  }

  /** Begins to listen, and to watch the files. @throws what `start` throws, which is called for each certificate. */
  begin(start: (pair: TlsPair) => TlsListener): void {
    assert(this.#pair !== null, "the pair was loaded before the port is bound");
    this.#start = start;
    this.#listener = start(this.#pair);
    this.#timer = this.#deps.clock.every(lookEveryMs, () => this.#look(false));
  }

  /** The one in use; null before `load`. */
  get pair(): TlsPair | null {
    return this.#pair;
  }

  /** Looks at once; for the signal that asks for it. A pair that is refused is told again. */
  reload(): void {
    if (this.#timer !== null) this.#look(true);
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** Requests on their way, those of old listeners included. */
  get pendingRequests(): number {
    return this.#all().reduce((pending, listener) => pending + listener.pendingRequests, 0);
  }

  /** Ends the listening; what is on its way ends first, or is cut when `isAtOnce`. */
  stop(isAtOnce: boolean): void {
    this.#timer?.cancel();
    this.#timer = null;
    for (const listener of this.#all()) listener.stop(isAtOnce);
  }

  #all(): TlsListener[] {
    return this.#listener === null ? this.#retired : [this.#listener, ...this.#retired];
  }

  #look(isAsked: boolean): void {
    let told: string | null = null;
    try {
      const files = readPair(this.#deps.disk, this.#deps.paths);
      told = files.fingerprint;
      if (told === this.#pair?.fingerprint) {
        this.#refused = null;
        if (isAsked) this.#deps.log.info(`the ${this.#deps.name} certificate is unchanged`);
        return;
      }
      if (told === this.#refused && !isAsked) return;
      this.#swap(this.#check(files));
      this.#refused = null;
    } catch (error) {
      this.#refuse(asFault(error), told, isAsked);
    }
  }

  #refuse(fault: Fault, fingerprint: string | null, isAsked: boolean): void {
    const what = fingerprint ?? fault.message;
    if (what === this.#refused && !isAsked) return;
    this.#refused = what;
    this.#reloads.add(outcomes.indexOf("refused"), 0, 0, 1);
    const { log, name } = this.#deps;
    log.warn(`a changed ${name} certificate was refused; the one in use stays`, { error: fault });
  }

  /** Until the new listener is there the old one is, and then both for a moment: no client finds the port closed. */
  #swap(pair: TlsPair): void {
    const old = this.#listener;
    if (this.#start === null || old === null) return;
    this.#listener = this.#start(pair);
    this.#pair = pair;
    this.#reloads.add(outcomes.indexOf("ok"), 0, 0, 1);
    this.#retired = [...this.#retired.filter(({ connectionCount }) => connectionCount > 0), old];
    while (this.#retired.length > retiredMax) this.#retired.shift()?.stop(true);
    this.#deps.clock.after(overlapMs, () => this.#retire(old, pair));
  }

  /** It accepts nobody any more, and its connections end with their next answer. */
  #retire(old: TlsListener, pair: TlsPair): void {
    old.stop(false);
    this.#deps.log.info(`the ${this.#deps.name} certificate was changed`, {
      ...describe(pair),
      pending: old.pendingRequests,
    });
  }

  #check(files: PairFiles): TlsPair {
    const { clock, log, name } = this.#deps;
    const pair = checkPair(files, this.#deps.paths, clock.wallMs());
    if (pair.doubt !== null) {
      log.warn(`clients will refuse the ${name} certificate`, {
        reason: pair.doubt,
        names: pair.names,
      });
    }
    return pair;
  }
}

function describe({ names, expiresSeconds }: TlsPair): { names: string; expires: string } {
  return { names, expires: new Date(expiresSeconds * second).toISOString() };
}

import { assert, unreachable } from "../../runtime/base/assert.ts";
import type { History, HistoryEntry, Outcome } from "./history.ts";
import type { Value } from "./load-surface.ts";

/**
 * The judge of trust.md 6, checks J1 (no lie) and J2 (kept). It is told what clients did and saw, as entries of a
 * history, and compares every answer with what the accepted writes allow. Calls that overlap may have happened in
 * either order; a call that ended before another began happened before it.
 */
export interface Judge {
  /** Takes the next entry, writes it to the history and judges what it says. */
  accept(entry: HistoryEntry): void;
  /** Begins a call: its number, for `accept` of its answer. */
  put(key: string, value: Value): number;
  clean(namespace: string): number;
  get(key: string): number;
  /** What `accept` would say of this value of a key read right now; null when it is right. Nothing is written. */
  check(key: string, value: Value | null): FindingKind | null;
  /** Every key that was ever written, refused ones too. */
  keys(): Iterable<string>;
  /** The value a key had at the last audit, if nothing was tried on it since; undefined when it is not that simple. */
  settled(key: string): Value | null | undefined;
  readonly findings: readonly Finding[];
  /** Also counts what is beyond the kept ones. */
  readonly findingCount: number;
  /** Reads that said nothing about the artifact. */
  readonly unreadCount: number;
}

export type FindingKind =
  | "missing"
  | "wrongBytes"
  | "cleanedIsBack"
  | "refusedAppears"
  | "older"
  | "overwritten";

export type Finding = {
  readonly kind: FindingKind;
  readonly tick: number;
  readonly key: string;
  readonly value: Value | null;
  /** What the key went through since the last audit. */
  readonly story: string;
};

const findingsKept = 50;
/** Values of earlier generations, kept to tell an old value from one that nobody wrote. */
const pastValuesKept = 8;
/** Hot keys have thousands of puts between audits; what a later settled one hides is dropped beyond this count. */
const operationsBeforePruning = 64;

type Put = { start: number; end: number; outcome: Outcome | "open"; value: Value; seenAt: number };
type Clean = { start: number; end: number; outcome: Outcome | "open" };
type Key = {
  readonly text: string;
  readonly namespace: string;
  readonly rule: "firstWins" | "lastWins";
  base: Value | null;
  puts: Put[];
  readonly past: Value[];
  isAudited: boolean;
};
type Read = { readonly key: Key; readonly start: number };

/** A history may be absent when an old one is judged again. */
export function createJudge(history: History | null): Judge {
  return new CourtOfRecord(history);
}

/** Judges a stored history once more. */
export function judgeHistory(entries: Iterable<HistoryEntry>): Judge {
  const judge = createJudge(null);
  for (const entry of entries) judge.accept(entry);
  return judge;
}

class CourtOfRecord implements Judge {
  readonly findings: Finding[] = [];
  findingCount = 0;
  unreadCount = 0;
  readonly #history: History | null;
  readonly #keys = new Map<string, Key>();
  readonly #cleans = new Map<string, Clean[]>();
  readonly #openPuts = new Map<number, { key: Key; put: Put }>();
  readonly #openCleans = new Map<number, Clean>();
  readonly #openReads = new Map<number, Read>();
  readonly #touched = new Set<Key>();
  #tick = 0;
  #nextOp = 1;

  constructor(history: History | null) {
    this.#history = history;
  }

  put(key: string, value: Value): number {
    const op = this.#nextOp++;
    this.accept({ at: "put", op, key, value });
    return op;
  }

  clean(namespace: string): number {
    const op = this.#nextOp++;
    this.accept({ at: "clean", op, namespace });
    return op;
  }

  get(key: string): number {
    const op = this.#nextOp++;
    this.accept({ at: "get", op, key });
    return op;
  }

  keys(): Iterable<string> {
    return this.#keys.keys();
  }

  settled(text: string): Value | null | undefined {
    const key = this.#keys.get(text);
    if (key === undefined) return null;
    const isTouched = key.puts.length > 0 || (this.#cleans.get(key.namespace)?.length ?? 0) > 0;
    return isTouched ? undefined : key.base;
  }

  accept(entry: HistoryEntry): void {
    const tick = ++this.#tick;
    const isQuiet = entry.at === "audit" && this.settled(entry.key) === entry.value;
    // An audit that finds what was settled changes nothing: tens of thousands of them a cycle are left out.
    if (!isQuiet) this.#history?.add(tick, entry);
    switch (entry.at) {
      case "put":
        this.#startPut(tick, entry.op, entry.key, entry.value);
        break;
      case "clean":
        this.#startClean(tick, entry.op, entry.namespace);
        break;
      case "get":
        this.#openReads.set(entry.op, { key: this.#keyOf(entry.key), start: tick });
        break;
      case "outcome":
        this.#end(tick, entry.op, entry.outcome);
        break;
      case "found":
        this.#found(tick, entry.op, entry.value);
        break;
      case "unread":
        this.unreadCount++;
        this.#openReads.delete(entry.op);
        break;
      case "crash":
        this.#crash(tick);
        break;
      case "audit":
        this.#audit(tick, this.#keyOf(entry.key), entry.value);
        break;
      case "audited":
        this.#audited();
        break;
      default:
        unreachable(entry);
    }
  }

  #keyOf(text: string): Key {
    const known = this.#keys.get(text);
    if (known !== undefined) return known;
    const [surface, namespace] = text.split("/");
    assert(surface !== undefined && namespace !== undefined, `key ${text} names its namespace`);
    const rule = surface === "keyvalue" ? "lastWins" : "firstWins";
    const fresh: Key = { text, namespace, rule, base: null, puts: [], past: [], isAudited: false };
    this.#keys.set(text, fresh);
    return fresh;
  }

  #startPut(tick: number, op: number, text: string, value: Value): void {
    const key = this.#keyOf(text);
    const put: Put = { start: tick, end: Infinity, outcome: "open", value, seenAt: Infinity };
    key.puts.push(put);
    this.#touched.add(key);
    this.#openPuts.set(op, { key, put });
  }

  #startClean(tick: number, op: number, namespace: string): void {
    const clean: Clean = { start: tick, end: Infinity, outcome: "open" };
    const known = this.#cleans.get(namespace);
    if (known === undefined) this.#cleans.set(namespace, [clean]);
    else known.push(clean);
    this.#openCleans.set(op, clean);
  }

  #end(tick: number, op: number, outcome: Outcome): void {
    const clean = this.#openCleans.get(op);
    if (clean !== undefined) {
      clean.outcome = outcome;
      // Without an answer it may still happen later: it stays open until the crash.
      if (outcome !== "unknown") clean.end = tick;
      this.#openCleans.delete(op);
      return;
    }
    const open = this.#openPuts.get(op);
    assert(open !== undefined, `operation ${op} was begun`);
    const { key, put } = open;
    this.#openPuts.delete(op);
    put.outcome = outcome;
    if (outcome !== "unknown") put.end = tick;
    if (outcome === "refused" && put.seenAt !== Infinity) {
      this.#report("refusedAppears", tick, key, put.value);
    }
    if (outcome === "acknowledged" && key.puts.length > operationsBeforePruning) this.#prune(key);
  }

  #found(tick: number, op: number, value: Value | null): void {
    const read = this.#openReads.get(op);
    assert(read !== undefined, `read ${op} was begun`);
    this.#openReads.delete(op);
    this.#judge(read.key, value, read.start, tick);
    if (value === null) return;
    for (const put of read.key.puts) {
      if (put.value === value) put.seenAt = Math.min(put.seenAt, tick);
    }
  }

  #crash(tick: number): void {
    for (const key of this.#touched) {
      for (const put of key.puts) settleAtCrash(put, tick);
    }
    for (const cleans of this.#cleans.values()) {
      for (const clean of cleans) {
        if (clean.outcome === "open") clean.outcome = "unknown";
        clean.end = Math.min(clean.end, tick);
      }
    }
    this.#openPuts.clear();
    this.#openCleans.clear();
    this.#openReads.clear();
  }

  #audit(tick: number, key: Key, value: Value | null): void {
    this.#judge(key, value, tick, tick);
    for (const put of key.puts) remember(key, put.value);
    if (key.base !== null) remember(key, key.base);
    key.base = value;
    key.puts.length = 0;
    key.isAudited = true;
  }

  /** The cleans of the time before are forgotten only once every key has been judged against them. */
  #audited(): void {
    for (const key of this.#keys.values()) {
      // A stored history leaves out the audits that found what was settled.
      const isJudged = key.isAudited || this.settled(key.text) !== undefined;
      assert(isJudged, `key ${key.text} was audited with the others`);
      key.isAudited = false;
    }
    this.#touched.clear();
    this.#cleans.clear();
  }

  check(text: string, value: Value | null): FindingKind | null {
    return this.#verdict(this.#keyOf(text), value, this.#tick, this.#tick);
  }

  #verdict(key: Key, value: Value | null, start: number, end: number): FindingKind | null {
    const cleans = this.#cleans.get(key.namespace) ?? [];
    if (value === null) return judgeMiss(key, cleans, start, end);
    return judgeValue({ key, cleans, value, start, end });
  }

  #judge(key: Key, value: Value | null, start: number, end: number): void {
    const kind = this.#verdict(key, value, start, end);
    if (kind !== null) this.#report(kind, end, key, value);
  }

  #report(kind: FindingKind, tick: number, key: Key, value: Value | null): void {
    this.findingCount++;
    if (this.findings.length >= findingsKept) return;
    const cleans = this.#cleans.get(key.namespace) ?? [];
    const story = JSON.stringify({ base: key.base, puts: key.puts, cleans, past: key.past });
    this.findings.push({ kind, tick, key: key.text, value, story });
  }

  /** Drops the puts and cleans that a later settled one hides from every read that is open or to come. */
  #prune(key: Key): void {
    const oldest = this.#openReads.values().next().value?.start ?? this.#tick;
    const cleans = this.#cleans.get(key.namespace) ?? [];
    const lastClean = latestStart(cleans, oldest);
    const lastPut = key.rule === "lastWins" ? latestStart(key.puts, oldest) : -1;
    const hidden = Math.max(lastClean, lastPut);
    for (const put of key.puts) if (put.end < hidden) remember(key, put.value);
    if (hidden > 0 && key.base !== null) remember(key, key.base);
    key.puts = key.puts.filter((put) => put.end >= hidden);
    const kept = cleans.filter((clean) => clean.end >= lastClean);
    this.#cleans.set(key.namespace, kept);
  }
}

/** What was seen by a reader before the crash must be durable: it counts as acknowledged when it was seen. */
function settleAtCrash(put: Put, tick: number): void {
  if (put.outcome === "open") put.outcome = "unknown";
  if (put.outcome === "unknown" && put.seenAt !== Infinity) {
    put.outcome = "acknowledged";
    put.end = put.seenAt;
  }
  put.end = Math.min(put.end, tick);
}

type Question = { key: Key; cleans: Clean[]; value: Value; start: number; end: number };

/** Null when some accepted write of this value can be what a read from `start` to `end` sees. */
function judgeValue({ key, cleans, value, start, end }: Question): FindingKind | null {
  let verdict: FindingKind | null = null;
  let isKnown = false;
  const base: Put = { start: -1, end: -1, outcome: "acknowledged", value, seenAt: -1 };
  const candidates = key.base === value ? [base, ...key.puts] : key.puts;
  for (const put of candidates) {
    if (put.value !== value || put.start > end) continue;
    if (put.outcome === "refused") {
      verdict ??= "refusedAppears";
      continue;
    }
    isKnown = true;
    const fault = whyHidden(key, cleans, put, start);
    if (fault === null) return null;
    verdict = fault;
  }
  if (isKnown || verdict !== null) return verdict;
  return key.past.includes(value) ? "older" : "wrongBytes";
}

/** Why a read that began at `start` cannot see this put, or null when it can. */
function whyHidden(key: Key, cleans: Clean[], put: Put, start: number): FindingKind | null {
  if (cleans.some((clean) => isBetween(clean, put.end, start))) return "cleanedIsBack";
  if (key.rule === "lastWins") {
    return key.puts.some((other) => isBetween(other, put.end, start)) ? "older" : null;
  }
  // The first writer wins: whatever was certainly there when this put began cannot have been replaced by it.
  const mayBeCleaned = (from: number): boolean =>
    cleans.some(
      (clean) => clean.outcome !== "refused" && clean.end > from && clean.start < put.end,
    );
  const isLoser = key.puts.some(
    (other) =>
      other !== put &&
      other.outcome === "acknowledged" &&
      other.end < put.start &&
      !mayBeCleaned(other.start),
  );
  const isOverBase = key.base !== null && put.start > 0 && !mayBeCleaned(-1);
  return isLoser || isOverBase ? "overwritten" : null;
}

function judgeMiss(key: Key, cleans: Clean[], start: number, end: number): FindingKind | null {
  const isFilledSince = (from: number): boolean =>
    key.puts.some((put) => isBetween(put, from, start));
  if (key.base === null && !isFilledSince(-1)) return null;
  for (const clean of cleans) {
    if (clean.outcome === "refused" || clean.start > end) continue;
    if (!isFilledSince(clean.end)) return null;
  }
  return "missing";
}

/** An acknowledged call that began after `from` and ended before `to`. */
function isBetween(call: Put | Clean, from: number, to: number): boolean {
  return call.outcome === "acknowledged" && call.start > from && call.end < to;
}

/** The latest start among the acknowledged calls that ended before `tick`; -1 when there is none. */
function latestStart(calls: readonly (Put | Clean)[], tick: number): number {
  let latest = -1;
  for (const call of calls) {
    if (call.outcome === "acknowledged" && call.end < tick) latest = Math.max(latest, call.start);
  }
  return latest;
}

function remember(key: Key, value: Value): void {
  if (key.past.includes(value)) return;
  key.past.push(value);
  if (key.past.length > pastValuesKept) key.past.shift();
}

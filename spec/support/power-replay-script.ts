import { systemClock } from "../../runtime/base/clock.ts";
import type { Random } from "../../runtime/base/random.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import type { History, HistoryEntry } from "./history.ts";
import { createJudge, type Judge } from "./judge.ts";
import { type LoadConnection, openLoadConnection } from "./load-client.ts";
import {
  cleanRequest,
  getRequest,
  keyText,
  type LoadKey,
  makeContent,
  outcomeOf,
  type PutOptions,
  putRequest,
  readFound,
  type SurfaceName,
  surfaces,
} from "./load-surface.ts";

type Operation =
  | ({ readonly at: "put"; readonly key: LoadKey; readonly sizeBytes: number } & PutOptions)
  | { readonly at: "get"; readonly key: LoadKey }
  | { readonly at: "clean"; readonly namespace: string };

/** One entry of the history and the wall clock when it was made, rounded down to a millisecond. */
export type StampedEntry = { readonly atMs: number; readonly entry: HistoryEntry };

/** Operations that are under way at the same time, and so may share a group commit. */
const lanes = 3;
/** Few enough that names are written again, after cleans too. */
const keysOfSurface = 7;
/** Puts with a file of their own, in a namespace that is never cleaned: enough to have some unflushed at many cuts, few enough for a small trace. */
const largeEvery = 29;
const cutUploadEvery = 47;

/** Size bands and how many puts in a hundred fall into each; the rest is the band after them. */
const bands = [
  { share: 70, minBytes: 0, maxBytes: 3 * KiB },
  { share: 20, minBytes: 3 * KiB, maxBytes: 20 * KiB },
  { share: 8, minBytes: 20 * KiB, maxBytes: 70 * KiB },
  { share: 2, minBytes: 200 * KiB, maxBytes: 400 * KiB },
] as const;

/** Draws operations number `from` to `to` of a run: every surface, every way in which a body is kept. */
export function drawOperations(random: Random, from: number, to: number): Operation[] {
  const made: Operation[] = [];
  for (let number = from; number < to; number++) made.push(drawOperation(random, number));
  return made;
}

function drawOperation(random: Random, number: number): Operation {
  const surface = surfaces[random.below(surfaces.length)] ?? "keyvalue";
  const key = {
    surface,
    namespace: drawNamespace(surface, random),
    index: random.below(keysOfSurface),
  };
  const isChunked = random.below(3) === 0;
  if (number % cutUploadEvery === cutUploadEvery - 1) {
    const cut = { isChunked: false, cutAfterBytes: 300 * KiB };
    return {
      at: "put",
      key: { ...key, surface: "gradle", namespace: "a" },
      sizeBytes: 400 * KiB,
      ...cut,
    };
  }
  if (number % largeEvery === largeEvery - 1) {
    const sizeBytes = MiB + 1 + random.below(200 * KiB);
    return {
      at: "put",
      key: { ...key, surface: "xcode", namespace: "c", index: number },
      sizeBytes,
      isChunked,
    };
  }
  const kind = random.below(100);
  if (kind < 5) return { at: "clean", namespace: key.namespace };
  if (kind < 15) return { at: "get", key };
  if (kind < 35)
    return { at: "put", key: { ...key, ...overwritten }, sizeBytes: random.below(2 * KiB) };
  const sizeBytes = drawSize(random);
  return { at: "put", key, sizeBytes, isChunked: isChunked && surface !== "keyvalue" };
}

/** Key-value entries are the ones that a later write replaces. */
const overwritten = { surface: "keyvalue", namespace: "b" } as const;

function drawNamespace(surface: SurfaceName, random: Random): string {
  if (surface === "nx" || surface === "metro") return surface;
  return random.below(2) === 0 ? "a" : "b";
}

function drawSize(random: Random): number {
  let left = random.below(100);
  for (const { share, minBytes, maxBytes } of bands) {
    if (left < share) return minBytes + random.below(maxBytes - minBytes);
    left -= share;
  }
  return 0;
}

/** A judge that keeps its history in memory with the time of each entry, so that it can be judged up to any moment. */
export function stampingJudge(stamped: StampedEntry[]): Judge {
  const history: History = {
    path: "",
    add: (_tick, entry) => stamped.push({ atMs: Math.floor(systemClock.wallMs()), entry }),
    flush: () => {},
  };
  return createJudge(history);
}

/** Runs operations over a few connections; `firstNumber` makes the contents those of this part of the run. */
export async function runOperations(
  port: number,
  judge: Judge,
  operations: readonly Operation[],
  firstNumber: number,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    const connection = openLoadConnection(port);
    for (let i = next++; i < operations.length; i = next++) {
      await perform({ judge, connection, operation: operations[i]!, text: `${firstNumber + i}` });
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

type Call = { judge: Judge; connection: LoadConnection; operation: Operation; text: string };

async function perform({ judge, connection, operation, text }: Call): Promise<void> {
  if (operation.at === "get") {
    const op = judge.get(keyText(operation.key));
    const found = readFound(operation.key, await connection.exchange(getRequest(operation.key)));
    if (found.at === "value") judge.accept({ at: "found", op, value: found.value });
    else judge.accept({ at: "unread", op, reason: found.reason });
    return;
  }
  const { op, request } = begin(judge, operation, text);
  judge.accept({ at: "outcome", op, outcome: outcomeOf(await connection.exchange(request)) });
}

function begin(judge: Judge, operation: Exclude<Operation, { at: "get" }>, text: string) {
  if (operation.at === "clean") {
    return { op: judge.clean(operation.namespace), request: cleanRequest(operation.namespace) };
  }
  const { key, sizeBytes, isChunked = false, cutAfterBytes } = operation;
  const made = putRequest(key, makeContent(text, sizeBytes), { isChunked });
  const request = cutAfterBytes === undefined ? made.request : { ...made.request, cutAfterBytes };
  return { op: judge.put(keyText(key), made.value), request };
}

/**
 * The history as far as it had certainly happened at a power cut between two events of a trace. An answer counts only
 * if it had arrived before the last event that is included, and a call that began after the next event did not exist.
 * What was refused is refused from the begin: nothing of it may ever be there.
 */
export function historyUntil(
  stamped: readonly StampedEntry[],
  cut: { readonly lastMs: number; readonly nextMs: number },
): HistoryEntry[] {
  const begun = new Set<number>();
  const known: HistoryEntry[] = [];
  for (const { atMs, entry } of stamped) {
    // The stamp is rounded down: the entry may be nearly one millisecond later.
    const isBefore = atMs + 1 <= cut.lastMs;
    switch (entry.at) {
      case "put":
      case "clean":
      case "get":
        if (atMs > cut.nextMs) break;
        begun.add(entry.op);
        known.push(entry);
        break;
      case "outcome":
        if (begun.has(entry.op) && (isBefore || entry.outcome === "refused")) known.push(entry);
        break;
      case "found":
        if (begun.has(entry.op) && isBefore) known.push(entry);
        break;
      default:
        break;
    }
  }
  known.push({ at: "crash" });
  return known;
}

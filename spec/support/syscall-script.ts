import { KiB, MiB } from "../../runtime/base/units.ts";
import type { Judge } from "./judge.ts";
import { type LoadConnection, openLoadConnection } from "./load-client.ts";
import {
  cleanRequest,
  getRequest,
  keyText,
  type LoadKey,
  makeContent,
  outcomeOf,
  putRequest,
  readFound,
  type SurfaceName,
} from "./load-surface.ts";

/** One step of the script: calls that run at the same time, and so may share a group commit. */
type Step = readonly Operation[];
type Operation =
  | { at: "put"; key: LoadKey; sizeBytes: number; isChunked?: boolean; cutAfterBytes?: number }
  | { at: "get"; key: LoadKey }
  | { at: "clean"; namespace: string };

/**
 * 40 operations over every surface and every way in which a body is kept: memory, spilled, file of its own; with
 * overwrites, a cut upload, a loser, cleans, and names that are written again after a clean.
 */
export const syscallScript: readonly Step[] = [
  [put("xcode", "a", 1, 1)],
  [put("gradle", "a", 1, 3 * KiB)],
  [put("keyvalue", "a", 1, 200)],
  [put("nx", "nx", 1, 40 * KiB)],
  [{ ...put("metro", "metro", 1, 20 * KiB), isChunked: true }],
  [get("xcode", "a", 1), get("keyvalue", "a", 1)],
  [put("keyvalue", "a", 1, 900)],
  [put("gradle", "a", 2, 100 * KiB)],
  [put("xcode", "b", 1, 300 * KiB)],
  [put("gradle", "b", 1, MiB + 1)],
  [{ ...put("metro", "metro", 2, 1_200 * KiB), isChunked: true }],
  [
    put("xcode", "a", 2, 10),
    put("xcode", "a", 3, 20),
    put("xcode", "a", 4, 30),
    put("nx", "nx", 2, 9),
  ],
  [{ ...put("gradle", "b", 2, 500 * KiB), cutAfterBytes: 200 * KiB }],
  [put("xcode", "a", 1, 50)],
  [{ at: "clean", namespace: "a" }],
  [get("xcode", "a", 1), get("gradle", "b", 1)],
  [put("xcode", "a", 1, 70), put("keyvalue", "a", 1, 80)],
  [{ ...put("xcode", "b", 2, 2 * MiB), isChunked: true }],
  [put("keyvalue", "b", 1, 600 * KiB)],
  [put("keyvalue", "b", 1, 5), { at: "clean", namespace: "metro" }],
  [{ ...put("metro", "metro", 2, 500), isChunked: true }, put("gradle", "a", 1, 60 * KiB)],
  [put("nx", "nx", 3, 70 * KiB)],
  [{ at: "clean", namespace: "b" }, put("gradle", "b", 1, 1_100 * KiB)],
  [put("xcode", "b", 1, 64 * KiB)],
  [put("keyvalue", "a", 1, 17), put("keyvalue", "a", 2, 18)],
  [put("keyvalue", "a", 1, 1), put("gradle", "a", 3, 0), put("gradle", "a", 4, 2)],
  [get("keyvalue", "a", 1), get("nx", "nx", 3)],
];

function put(surface: SurfaceName, namespace: string, index: number, sizeBytes: number) {
  return { at: "put", key: { surface, namespace, index }, sizeBytes } as const;
}

function get(surface: SurfaceName, namespace: string, index: number) {
  return { at: "get", key: { surface, namespace, index } } as const;
}

/** Runs the script from the first step to the last, or until the node takes no connection. */
export async function runSyscallScript(port: number, judge: Judge): Promise<void> {
  const widest = Math.max(...syscallScript.map((step) => step.length));
  const connections = Array.from({ length: widest }, () => openLoadConnection(port));
  for (const [number, step] of syscallScript.entries()) {
    const calls = step.map((operation, i) =>
      perform({ judge, connection: connections[i]!, operation, text: `step ${number} ${i}` }),
    );
    const areAlive = await Promise.all(calls);
    if (areAlive.includes(false)) break;
  }
  for (const connection of connections) connection.close();
}

type Call = { judge: Judge; connection: LoadConnection; operation: Operation; text: string };

/** False when the node does not take connections any more. */
async function perform({ judge, connection, operation, text }: Call): Promise<boolean> {
  if (operation.at === "get") {
    const op = judge.get(keyText(operation.key));
    const exchange = await connection.exchange(getRequest(operation.key));
    const found = readFound(operation.key, exchange);
    if (found.at === "value") judge.accept({ at: "found", op, value: found.value });
    else judge.accept({ at: "unread", op, reason: found.reason });
    return exchange.at === "answered" || exchange.isConnected;
  }
  const { op, request } = begin(judge, operation, text);
  const exchange = await connection.exchange(request);
  judge.accept({ at: "outcome", op, outcome: outcomeOf(exchange) });
  return exchange.at === "answered" || exchange.isConnected;
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

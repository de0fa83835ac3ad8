import fs from "node:fs";
import { KiB } from "../../runtime/base/units.ts";
import type { Value } from "./load-surface.ts";

/**
 * What clients did and saw, one JSON line a call and a line an answer, so that an old run can be judged again by a
 * better judge. `tick` counts the lines: a lower one happened before, as the clients saw it.
 * Keys are written `surface/namespace/index`; a null value is a miss.
 */
export type HistoryEntry =
  | { readonly at: "put"; readonly op: number; readonly key: string; readonly value: Value }
  | { readonly at: "clean"; readonly op: number; readonly namespace: string }
  | { readonly at: "get"; readonly op: number; readonly key: string }
  | { readonly at: "outcome"; readonly op: number; readonly outcome: Outcome }
  | { readonly at: "found"; readonly op: number; readonly value: Value | null }
  /** The answer to a get says nothing about the artifact: shed, cut, timed out. */
  | { readonly at: "unread"; readonly op: number; readonly reason: string }
  /** The process died: what has no answer by now took effect before this, or never. */
  | { readonly at: "crash" }
  /** Read at rest after a start: from here on this is what the key holds. */
  | { readonly at: "audit"; readonly key: string; readonly value: Value | null }
  /** Every key was audited. */
  | { readonly at: "audited" };

/**
 * `acknowledged`: a success was answered. `refused`: a failure was answered or the request never left whole, so it
 * must have no effect. `unknown`: no answer came, it may have taken effect or not.
 */
export type Outcome = "acknowledged" | "refused" | "unknown";

export interface History {
  readonly path: string;
  add(tick: number, entry: HistoryEntry): void;
  /** Hands all lines to the file system. */
  flush(): void;
}

const bufferedBytesMax = 256 * KiB;

/** Appends to the file; what is buffered is written by `flush`. */
export function openHistory(path: string): History {
  const lines: string[] = [];
  let bufferedBytes = 0;
  const flush = (): void => {
    fs.appendFileSync(path, lines.join(""));
    lines.length = 0;
    bufferedBytes = 0;
  };
  return {
    path,
    flush,
    add(tick, entry) {
      const line = `${JSON.stringify({ tick, ...entry })}\n`;
      lines.push(line);
      bufferedBytes += line.length;
      if (bufferedBytes > bufferedBytesMax) flush();
    },
  };
}

/** The entries of a stored history, in order. */
export function* readHistory(path: string): Generator<HistoryEntry> {
  for (const line of fs.readFileSync(path, "utf8").split("\n")) {
    if (line !== "") yield JSON.parse(line) as HistoryEntry;
  }
}

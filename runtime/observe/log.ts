import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import type { Secret } from "../base/secret.ts";
import { type LogLevel, logLevels } from "../config/log-level.ts";

/** What may stand beside a message. An Error is written with its causes; a Secret writes itself as a placeholder. */
export type LogFields = Readonly<
  Record<string, string | number | boolean | null | Secret | Error | readonly string[]>
>;

/**
 * One JSON object a line. The message is a fixed sentence and the varying parts are fields: repeats are counted by
 * level and message.
 */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogOptions = {
  readonly clock: Clock;
  readonly level: LogLevel;
  /** Within this window a message is written `repeatLinesMax` times; what came beyond is counted and told later. */
  readonly repeatWindowMs: number;
  /** Takes one line, without a line feed. */
  readonly write: (line: string) => void;
};

/** Five lines show that something repeats and how fast; a million fill a disk. */
const repeatLinesMax = 5;
/** Messages are fixed sentences in the code, so this bound is only met by a mistake; then all counts start anew. */
const messagesMax = 1_024;
/** A line that goes through a pipe whole, with room for a long path or a stack. */
const fieldCharsMax = 4_096;
const causesMax = 5;

type Repeats = { startMs: number; lines: number; dropped: number };

/** Makes the logger of a node. */
export function createLog({ clock, level, repeatWindowMs, write }: LogOptions): Log {
  const lowest = logLevels.indexOf(level);
  const seen = new Map<string, Repeats>();

  const put = (at: LogLevel, message: string, fields: LogFields): void => {
    if (logLevels.indexOf(at) < lowest) return;
    const repeats = admit(seen, `${at} ${message}`, clock.monotonicMs(), repeatWindowMs);
    if (repeats === null) return;
    const time = new Date(clock.wallMs()).toISOString();
    const suppressed = repeats > 0 ? { suppressed_repeats: repeats } : {};
    write(JSON.stringify({ time, level: at, message, ...plainFields(fields), ...suppressed }));
  };

  return {
    debug: (message, fields = {}) => put("debug", message, fields),
    info: (message, fields = {}) => put("info", message, fields),
    warn: (message, fields = {}) => put("warn", message, fields),
    error: (message, fields = {}) => put("error", message, fields),
  };
}

/** How many lines of this message were dropped before the one that may be written now; null when it may not. */
function admit(
  seen: Map<string, Repeats>,
  key: string,
  nowMs: number,
  windowMs: number,
): number | null {
  const known = seen.get(key);
  if (known === undefined || nowMs - known.startMs >= windowMs) {
    if (known === undefined && seen.size >= messagesMax) seen.clear();
    seen.set(key, { startMs: nowMs, lines: 1, dropped: 0 });
    return known?.dropped ?? 0;
  }
  if (known.lines < repeatLinesMax) {
    known.lines += 1;
    return 0;
  }
  known.dropped += 1;
  return null;
}

function plainFields(fields: LogFields): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Error) plain[name] = describeError(value);
    else if (typeof value === "string") plain[name] = value.slice(0, fieldCharsMax);
    else plain[name] = value;
  }
  return plain;
}

/** The message with the messages of its causes; a stack only for what is not a Fault, because that is a defect. */
function describeError(error: Error): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < causesMax && current !== undefined && current !== null; depth++) {
    if (!(current instanceof Error)) {
      parts.push(String(current));
      break;
    }
    const isDefect = depth === 0 && !(current instanceof Fault);
    parts.push(isDefect ? (current.stack ?? current.message) : current.message);
    current = current.cause;
  }
  return parts.join(" <- ").slice(0, fieldCharsMax);
}

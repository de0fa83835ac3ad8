import { expect, test } from "bun:test";
import type { Clock } from "../../../../runtime/base/clock.ts";
import { Fault } from "../../../../runtime/base/fault.ts";
import { Secret } from "../../../../runtime/base/secret.ts";
import { createLog } from "../../../../runtime/observe/log.ts";

/** A log whose time stands still until it is moved. */
function makeLog(level: "debug" | "info" | "warn" = "info") {
  const lines: string[] = [];
  let nowMs = 0;
  const clock: Clock = {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    after: () => ({ cancel() {} }),
    every: () => ({ cancel() {} }),
  };
  const log = createLog({
    clock,
    level,
    repeatWindowMs: 60_000,
    write: (line) => lines.push(line),
  });
  const parsed = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, lines, parsed, pass: (ms: number) => (nowMs += ms) };
}

test("each message is one JSON line with time, level, message and fields", () => {
  const { log, lines, parsed } = makeLog();
  log.info("listening", { port: 4_000, isLocal: true, peer: null });
  expect(lines).toEqual([expect.stringMatching(/^\{.*\}$/)]);
  expect(parsed()).toEqual([
    {
      time: "1970-01-01T00:00:00.000Z",
      level: "info",
      message: "listening",
      port: 4_000,
      isLocal: true,
      peer: null,
    },
  ]);
});

test("line feeds in a value do not make a second line", () => {
  const { log, lines, parsed } = makeLog();
  log.warn("bad key", { key: 'a\n{"level":"error"}\r\u2028b' });
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toContain("\n");
  expect(parsed()[0]?.key).toBe('a\n{"level":"error"}\r\u2028b');
});

test("levels below the chosen one are left out", () => {
  const { log, parsed } = makeLog("warn");
  log.debug("a");
  log.info("b");
  log.warn("c");
  log.error("d");
  expect(parsed().map(({ message }) => message)).toEqual(["c", "d"]);
});

test("a repeated message is written five times in a window, then counted and told later", () => {
  const { log, parsed, pass } = makeLog();
  for (let i = 0; i < 100; i++) log.warn("disk is full", { i });
  log.warn("another", {});
  expect(parsed()).toHaveLength(6);
  pass(60_000);
  log.warn("disk is full", { i: 100 });
  expect(parsed().at(-1)).toMatchObject({ i: 100, suppressed_repeats: 95 });
});

test("a secret writes itself as a placeholder", () => {
  const { log, lines } = makeLog();
  log.info("token", { token: new Secret("hunter2") });
  expect(lines[0]).toContain("[redacted]");
  expect(lines.join("")).not.toContain("hunter2");
});

test("an error is written with its causes, a long one is cut", () => {
  const { log, parsed } = makeLog();
  const cause = new Error("EIO: i/o error", { cause: "x".repeat(100_000) });
  log.error("write failed", { error: new Fault("internal", "Cannot write 3", { cause }) });
  expect(String(parsed()[0]?.error)).toStartWith("Cannot write 3 <- EIO: i/o error <- xxx");
  expect(String(parsed()[0]?.error).length).toBeLessThanOrEqual(4_096);
});

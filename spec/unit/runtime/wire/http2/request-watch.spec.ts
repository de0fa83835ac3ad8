import { describe, expect, test } from "bun:test";
import { KiB } from "../../../../../runtime/base/units.ts";
import { encodeHeaders } from "../../../../../runtime/wire/http2/hpack-encoder.ts";
import {
  type H2Engine,
  makeH2Engine,
  pass,
  type SeenStream,
  watchingHandler,
} from "../../../../support/h2-engine.ts";
import {
  callFields,
  h2Data,
  h2Flags,
  h2Frame,
  h2Headers,
  h2Hello,
  h2Types,
  h2Window,
} from "../../../../support/h2-frames.ts";

const path = "/a/b";

type Bench = H2Engine & { readonly seen: readonly SeenStream[] };

/** A connection with so many requests on their way, which are waited for unless told. */
function openRequests(
  count: number,
  { isAwaited = (): boolean => true, consumes = true, windowBytes = 2 ** 24 } = {},
): Bench {
  const { handler, seen } = watchingHandler({ consumes, isAwaited });
  const engine = makeH2Engine(handler, { windowBytes });
  engine.connection.received(h2Hello());
  for (let i = 0; i < count; i++) {
    engine.connection.received(h2Headers(1 + 2 * i, callFields(path)));
  }
  return { ...engine, seen };
}

/** Each second as many bytes come on each stream as its place in the list says. */
function drip(bench: Bench, seconds: number, bytesOf: readonly number[]): void {
  for (let i = 0; i < seconds; i++) {
    for (const [place, bytes] of bytesOf.entries()) {
      if (bench.seen[place]?.events.includes("slow")) continue;
      for (let left = bytes; left > 0; left -= 16 * KiB) {
        bench.connection.received(h2Data(1 + 2 * place, Buffer.alloc(Math.min(left, 16 * KiB))));
      }
    }
    pass(bench, 1);
  }
}

const slowOnes = ({ seen }: Bench): number[] =>
  seen.flatMap(({ events }, place) => (events.includes("slow") ? [place] : []));

describe("a request of which less than 16 KiB come in a second", () => {
  test("is given up soon after the grace of ten seconds", () => {
    const bench = openRequests(2);
    drip(bench, 10, [10 * KiB, 17 * KiB]);
    expect(slowOnes(bench)).toEqual([]);
    drip(bench, 2, [10 * KiB, 17 * KiB]);
    expect(slowOnes(bench)).toEqual([0]);
    drip(bench, 60, [0, 17 * KiB]);
    expect(slowOnes(bench)).toEqual([0]);
  });

  test("is waited for while its client waits for us", () => {
    const bench = openRequests(1, { isAwaited: () => false });
    drip(bench, 60, [0]);
    expect(slowOnes(bench)).toEqual([]);
  });

  test("is waited for while its window leaves it no room", () => {
    const bench = openRequests(1, { consumes: false });
    drip(bench, 1, [4_096 * KiB]);
    drip(bench, 60, [0]);
    expect(slowOnes(bench)).toEqual([]);
  });

  test("is waited for while the window of the connection leaves it no room", () => {
    const windowBytes = 256 * KiB;
    const bench = openRequests(6, { consumes: false, windowBytes });
    // Four streams use up what the connection may send; nobody has taken any of it.
    drip(bench, 1, [64 * KiB, 64 * KiB, 64 * KiB, 63 * KiB, 0, 0]);
    drip(bench, 60, []);
    expect(slowOnes(bench)).toEqual([]);
  });

  test("is forgiven while it has its part of a line that many share, and the line is not slow", () => {
    // 1.2 Mbit/s among a hundred.
    const bench = openRequests(100);
    const even = Array.from({ length: 100 }, () => 1_500);
    drip(bench, 120, even);
    expect(slowOnes(bench)).toEqual([]);
  });

  test("is given up when all of them together bring too little", () => {
    const bench = openRequests(100);
    drip(
      bench,
      12,
      Array.from({ length: 100 }, () => 1_000),
    );
    expect(slowOnes(bench)).toHaveLength(100);
  });

  test("is given up when only the others are fast", () => {
    const bench = openRequests(3);
    drip(bench, 12, [200 * KiB, 200 * KiB, 10]);
    expect(slowOnes(bench)).toEqual([2]);
  });
});

describe("what has to come whole", () => {
  const block = encodeHeaders(callFields(path));

  test.each([
    ["a header block whose frames drip", h2Frame(h2Types.headers, 0, 1, block.subarray(0, 9))],
    ["a frame whose bytes drip", h2Window(0, 1).subarray(0, 5)],
    ["a frame of headers that is cut off", h2Headers(1, callFields(path)).subarray(0, 20)],
  ])("(%s) ends its connection within 15 s", (_, bytes) => {
    const bench = openRequests(0);
    bench.connection.received(bytes);
    pass(bench, 11);
    expect(bench.socket.isTerminated).toBe(false);
    pass(bench, 4);
    expect(bench.socket.isTerminated).toBe(true);
  });

  test("may come in pieces again and again", () => {
    const bench = openRequests(0);
    for (let i = 0; i < 40; i++) {
      const headers = h2Frame(
        h2Types.headers,
        h2Flags.endHeaders | h2Flags.endStream,
        1 + 2 * i,
        block,
      );
      bench.connection.received(headers.subarray(0, 12));
      pass(bench, 1);
      bench.connection.received(headers.subarray(12));
    }
    expect([bench.socket.isTerminated, bench.seen.length]).toEqual([false, 40]);
  });
});

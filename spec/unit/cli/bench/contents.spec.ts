import { expect, test } from "bun:test";
import { Contents } from "../../../../cli/bench/contents.ts";
import { makeTemplates, writeIndex } from "../../../../cli/bench/requests.ts";
import { surfaces } from "../../../../cli/bench/surfaces.ts";
import { MiB } from "../../../../runtime/base/units.ts";

/** A body put together from windows, as a connection sends it. */
function body(contents: Contents, index: number, bodyBytes: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bodyBytes; at += parts.at(-1)?.length ?? 1) {
    parts.push(contents.window(index, at, bodyBytes - at));
  }
  return Buffer.concat(parts);
}

test("a body is found to be itself in any pieces, and a changed, shifted or foreign one is not", () => {
  const contents = new Contents(1);
  const bytes = body(contents, 3, 3 * MiB);
  const matches = (index: number, atBytes: number, from: number, to: number, given = bytes) =>
    contents.matches({ index, atBytes }, given, from, to);
  expect(matches(3, 0, 0, bytes.length)).toBe(true);
  expect(matches(3, 1_000_000, 1_000_000, 2_500_000)).toBe(true);
  expect(matches(3, 1, 0, 100)).toBe(false);
  expect(matches(4, 0, 0, 100)).toBe(false);
  // A store that mixes up its blocks gives a block of another place.
  expect(matches(3, MiB, 0, 4_096)).toBe(false);
  const changed = Buffer.from(bytes);
  changed[2_000_000] = (changed[2_000_000] ?? 0) ^ 1;
  expect(matches(3, 0, 0, bytes.length, changed)).toBe(false);
});

test("the same seed gives the same bodies, and small bodies of different keys differ", () => {
  expect(body(new Contents(9), 5, 70_000).equals(body(new Contents(9), 5, 70_000))).toBe(true);
  expect(body(new Contents(9), 5, 70_000).equals(body(new Contents(8), 5, 70_000))).toBe(false);
  const contents = new Contents(9);
  const seen = new Set(
    Array.from({ length: 20_000 }, (_, index) => contents.window(index, 0, 64).toString("hex")),
  );
  expect(seen.size).toBe(20_000);
});

const shape = {
  host: "127.0.0.1:4000",
  tenant: "a b",
  namespace: "ios",
  headers: ["Authorization: Bearer x"],
  seed: 1,
  bodyBytes: 10,
  run: "r1",
};

test("a request has its key at every place, and only its digits change", () => {
  const templates = makeTemplates({ ...shape, ...surfaces.bazel });
  const { head, keyPlaces } = templates.put;
  for (const place of keyPlaces) writeIndex(head, place, 0xabcdef);
  const [line = "", ...headers] = head.toString().trimEnd().split("\r\n");
  const key = /^PUT \/ios\/ac\/([0-9a-f]{64}) HTTP\/1\.1$/.exec(line)?.[1] ?? "";
  expect(key.slice(0, 32)).toBe(key.slice(32));
  expect(key.slice(20, 32)).toBe("000000abcdef");
  expect(headers).toEqual([
    "Host: 127.0.0.1:4000",
    "Authorization: Bearer x",
    "Content-Type: application/octet-stream",
    "Content-Length: 10",
  ]);
});

test("reads, misses, and the writes of each run have keys of their own", () => {
  const line = (name: "get" | "head" | "fill" | "miss" | "put", run = "r1") =>
    makeTemplates({ ...shape, ...surfaces.gradle, run })
      [name].head.toString()
      .split("\r\n")[0];
  const key = (text = "") => / (\S+) /.exec(text)?.[1];
  expect(key(line("get"))).toStartWith("/cache/a%20b/ios/");
  expect(new Set([line("get"), line("head"), line("fill")].map(key)).size).toBe(1);
  const others = [line("get"), line("miss"), line("put"), line("put", "r2")];
  expect(new Set(others.map(key)).size).toBe(4);
});

import { describe, expect, test } from "bun:test";
import { MiB } from "../../../../../runtime/base/units.ts";
import { ConnectionWindows } from "../../../../../runtime/wire/http2/connection-windows.ts";

function takeAll(messageBytesMax: number, count: number): number[] {
  const windows = new ConnectionWindows(messageBytesMax);
  return Array.from({ length: count }, () => windows.take() / MiB);
}

describe("the windows of connections", () => {
  test("are large for as many as memory allows, and leave a part of it to messages that began", () => {
    expect(takeAll(128 * MiB, 8)).toEqual([16, 16, 16, 16, 16, 16, 1, 1]);
    expect(takeAll(20 * MiB, 4)).toEqual([5, 5, 1, 1]);
  });

  test("are never too small to be told", () => {
    expect(takeAll(2 * MiB, 3)).toEqual([1, 1, 1]);
  });

  test("come back, and can be lent while there is memory", () => {
    const windows = new ConnectionWindows(20 * MiB);
    const first = windows.take();
    expect(windows.tryLend(16 * MiB)).toBe(false);
    expect(windows.tryLend(15 * MiB)).toBe(true);
    expect(windows.take()).toBe(1 * MiB);
    windows.give(16 * MiB);
    expect(windows.take()).toBe(first);
    windows.give(first);
    windows.give(first);
    expect(windows.take()).toBe(first);
  });
});

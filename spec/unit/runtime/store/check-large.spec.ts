import { expect, test } from "bun:test";
import type { DiskFile } from "../../../../runtime/base/disk.ts";
import { Fault } from "../../../../runtime/base/fault.ts";
import { checkLargeFile } from "../../../../runtime/store/check-large.ts";

test("a large file with a sector that cannot be read is damaged, not unavailable for ever", () => {
  const unreadable = {
    read(): number {
      throw new Fault("internal", "Cannot read: EIO");
    },
  } as unknown as DiskFile;
  const expected = { id: new Uint8Array(32), sizeBytes: 10, digest: 1 };
  expect(checkLargeFile(unreadable, expected).next()).toEqual({ done: true, value: false });
});

import { afterAll, describe, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { realDisk } from "../../../runtime/base/real-disk.ts";
import { MiB } from "../../../runtime/base/units.ts";
import type { IndexHome } from "../../../runtime/store/index.ts";
import type { PartRow, UploadRow } from "../../../runtime/store/multipart-rows.ts";
import { SqliteHome } from "../../../runtime/store/sqlite-home.ts";
import { SimCalls } from "../../support/sim-disk-calls.ts";
import { SimIndexHome } from "../../support/sim-index.ts";

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "kura-uploads-contract-"));
afterAll(() => fs.rmSync(temporary, { recursive: true, force: true }));
let folderCount = 0;

function sqliteHome(): IndexHome {
  const dataDir = path.join(temporary, String(folderCount++));
  realDisk.makeFolder(dataDir);
  return new SqliteHome({ disk: realDisk, dataDir, cacheBytes: MiB });
}

const [first, second] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];

function upload(id: Uint8Array): UploadRow {
  const scope = { tenant: "acme", namespace: "" };
  return { id, producer: 3, ...scope, key: "builds/h/ö", createdMs: 1_790_000_000_000 };
}

function part(uploadId: Uint8Array, number: number, changes: Partial<PartRow> = {}): PartRow {
  return { uploadId, number, sizeBytes: 10 * MiB, file: number + 1, crc: 2 ** 32 - 1, ...changes };
}

describe.each([
  ["SQLite", sqliteHome],
  ["the simulated index", () => new SimIndexHome(new SimCalls())],
] as const)("uploads in %s", (_, makeHome) => {
  test("come back as they were given, with the sums of their parts, after a restart too", () => {
    const home = makeHome();
    const index = home.open();
    index.uploads.putUpload(upload(first));
    index.uploads.putUpload(upload(second));
    index.uploads.putPart(part(first, 2 ** 32 - 1, { file: 9 }));
    index.uploads.putPart(part(first, 0, { sizeBytes: 0 }));
    index.close();
    const rows = home.open().uploads;
    expect(rows.uploads()).toHaveLength(2);
    const [held, bare] = [first, second].map((id) =>
      rows.uploads().find((row) => Buffer.compare(row.id, id) === 0),
    );
    const { id, ...columns } = upload(first);
    expect(held).toMatchObject({ ...columns, partBytes: 10 * MiB, partCount: 2, fileHigh: 9 });
    expect(bare).toMatchObject({ partBytes: 0, partCount: 0, fileHigh: 0 });
    expect(rows.parts(first).map(({ number }) => number)).toEqual([0, 2 ** 32 - 1]);
    const { uploadId, ...partColumns } = part(first, 2 ** 32 - 1, { file: 9 });
    expect(rows.part(first, 2 ** 32 - 1)).toMatchObject(partColumns);
    expect(rows.part(second, 0)).toBeNull();
  });

  test("keep one part of a number, and let go of a part or of all", () => {
    const { uploads } = makeHome().open();
    uploads.putUpload(upload(first));
    uploads.putUpload(upload(second));
    uploads.putPart(part(first, 1));
    uploads.putPart(part(first, 1, { sizeBytes: 7, file: 8, crc: 5 }));
    uploads.putPart(part(first, 2));
    uploads.putPart(part(second, 1));
    expect(uploads.part(first, 1)).toMatchObject({ sizeBytes: 7, file: 8, crc: 5 });
    uploads.removePart(first, 2);
    expect(uploads.parts(first).map(({ number }) => number)).toEqual([1]);
    uploads.removeUpload(first);
    expect(uploads.parts(first)).toEqual([]);
    expect(uploads.uploads()).toHaveLength(1);
    expect(uploads.parts(second)).toHaveLength(1);
  });

  test("an upload that is put again keeps its parts", () => {
    const { uploads } = makeHome().open();
    uploads.putUpload(upload(first));
    uploads.putPart(part(first, 1));
    uploads.putUpload({ ...upload(first), createdMs: 5 });
    expect(uploads.uploads()).toMatchObject([{ createdMs: 5, partCount: 1 }]);
  });
});

test("SQLite lets go of the index's files when uploads were read and written", () => {
  const home = sqliteHome();
  const index = home.open();
  index.uploads.putUpload(upload(first));
  index.uploads.putPart(part(first, 1));
  index.uploads.parts(first);
  const openFiles = (): string[] =>
    fs.readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        return [fs.readlinkSync(`/proc/self/fd/${fd}`)];
      } catch {
        return [];
      }
    });
  const folder = path.join(temporary, String(folderCount - 1));
  expect(openFiles().some((file) => file.startsWith(folder))).toBe(true);
  index.close();
  expect(openFiles().filter((file) => file.startsWith(`${folder}/`))).toEqual([]);
});

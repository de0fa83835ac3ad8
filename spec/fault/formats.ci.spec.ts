import { describe, expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { sha256 } from "../../runtime/base/digest.ts";
import { minute } from "../../runtime/base/units.ts";
import { filePageBytes, formatVersion } from "../../runtime/store/format.ts";
import { restoreFolder } from "../support/bit-flip.ts";
import {
  makeTemporaryFolder,
  projectFolder,
  spawnNode,
  startNode,
} from "../support/node-process.ts";

const fixtures = path.join(projectFolder, "spec/fixture/format");
const testMsMax = 1 * minute;
const formatTooNewExitCode = 65;

/** One line of a fixture's `manifest.json`: what a request to a node on this data directory is answered. */
type Expected = { method: string; url: string; status: number; sha256?: string };

const formats = fs.readdirSync(fixtures).filter((name) => /^\d+$/.test(name));

describe("the formats of earlier versions", () => {
  test("are there to be opened", () => {
    expect(formats).toContain("1");
  });

  for (const format of formats) {
    test(
      `format ${format} opens and every artifact in it is read back`,
      async () => {
        const folder = makeTemporaryFolder("format");
        const dataDir = path.join(folder, "data");
        restoreFolder(path.join(fixtures, format), dataDir);
        const expected: Expected[] = JSON.parse(
          fs.readFileSync(path.join(dataDir, "manifest.json"), "utf8"),
        );
        fs.rmSync(path.join(dataDir, "manifest.json"));
        await using node = await startNode({ dataDir });
        for (const request of expected) await checkAnswer(node.url, request);
        expect(expected.length).toBeGreaterThan(0);
        await node.stop();
        fs.rmSync(folder, { recursive: true, force: true });
      },
      testMsMax,
    );
  }
});

describe("a data directory of a later version", () => {
  test(
    "whose segments have a newer format is refused with 65, and not one byte is changed",
    () => checkRefused((dataDir) => raiseSegmentFormat(dataDir)),
    testMsMax,
  );

  test(
    "whose index has a newer schema is refused with 65, and not one byte is changed",
    () => checkRefused((dataDir) => raiseSchema(dataDir)),
    testMsMax,
  );
});

async function checkAnswer(
  base: string,
  { method, url, status, ...rest }: Expected,
): Promise<void> {
  const answer = await fetch(new URL(url, base), { method });
  const body = new Uint8Array(await answer.arrayBuffer());
  expect(`${method} ${url} ${answer.status}`).toBe(`${method} ${url} ${status}`);
  if (rest.sha256 === undefined) return;
  expect(`${url} ${hex(sha256(body))}`).toBe(`${url} ${rest.sha256}`);
}

/** Fills a fresh directory with today's version, makes it look newer, and starts a node on it. */
async function checkRefused(makeNewer: (dataDir: string) => void): Promise<void> {
  const folder = makeTemporaryFolder("newer");
  const dataDir = path.join(folder, "data");
  const node = await startNode({ dataDir });
  const target = `${node.url}/api/cache/gradle/00aa?tenant_id=default&namespace_id=a`;
  const answer = await fetch(target, { method: "PUT", body: "an artifact" });
  expect(answer.status).toBe(201);
  await node.stop();

  makeNewer(dataDir);
  const before = digestFiles(dataDir);
  await using refused = await spawnNode({ dataDir });
  expect(await refused.exited).toBe(formatTooNewExitCode);
  expect(refused.stderr()).toContain("newer");
  expect(digestFiles(dataDir)).toEqual(before);
  fs.rmSync(folder, { recursive: true, force: true });
}

function raiseSegmentFormat(dataDir: string): void {
  const folder = path.join(dataDir, "segments");
  const file = path.join(folder, fs.readdirSync(folder).sort().at(-1) ?? "");
  const bytes = fs.readFileSync(file);
  writeFormatVersion(bytes, formatVersion + 1);
  fs.writeFileSync(file, bytes);
}

/** Format version at 8 of both copies, CRC-32 in the last four bytes of each. */
function writeFormatVersion(bytes: Buffer, version: number): void {
  const copyBytes = filePageBytes / 2;
  for (let at = 0; at < filePageBytes; at += copyBytes) {
    bytes.writeUInt32LE(version, at + 8);
    const crc = Bun.hash.crc32(bytes.subarray(at, at + copyBytes - 4));
    bytes.writeUInt32LE(Number(crc), at + copyBytes - 4);
  }
}

/** `user_version` of an SQLite file: big endian at 60. */
function raiseSchema(dataDir: string): void {
  const file = path.join(dataDir, "kura.db");
  const bytes = fs.readFileSync(file);
  bytes.writeUInt32BE(bytes.readUInt32BE(60) + 1, 60);
  fs.writeFileSync(file, bytes);
}

function digestFiles(folder: string): Record<string, string> {
  const digests: Record<string, string> = {};
  for (const name of fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    const file = path.join(folder, name);
    if (fs.statSync(file).isFile()) digests[name] = hex(sha256(fs.readFileSync(file)));
  }
  return digests;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

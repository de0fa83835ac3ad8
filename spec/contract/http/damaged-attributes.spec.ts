import { describe, expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { sha256 } from "../../../runtime/base/digest.ts";
import { Fault } from "../../../runtime/base/fault.ts";
import { MiB } from "../../../runtime/base/units.ts";
import { eventually, type SpecServer, startServer } from "../../support/server.ts";
import { patterned } from "./dialects.ts";
import { noFaults, withFaults } from "./faulty-store.ts";

const target = "/api/cache/gradle/a?tenant_id=t";
const header = "tuist-checksum-sha256";
const hexOf = (body: Uint8Array): string => Buffer.from(sha256(body)).toString("hex");

async function put(server: SpecServer, body: Buffer<ArrayBuffer>): Promise<void> {
  const headers = { [header]: hexOf(body) };
  const answer = await fetch(`${server.url}${target}`, { method: "PUT", body, headers });
  expect(answer.status).toBe(201);
}

/** The file under the data folder in which a text stands, and where. */
function locate(dataDir: string, text: string): { file: string; at: number } {
  for (const folder of ["large", "segments"]) {
    for (const name of fs.readdirSync(path.join(dataDir, folder))) {
      const file = path.join(dataDir, folder, name);
      const at = fs.readFileSync(file).indexOf(text);
      if (at >= 0) return { file, at };
    }
  }
  throw new Error(`No file of ${dataDir} has ${text}`);
}

function flipByte({ file, at }: { file: string; at: number }): void {
  const fd = fs.openSync(file, "r+");
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 1;
  fs.writeSync(fd, byte, 0, 1, at);
  fs.closeSync(fd);
}

describe.each([100, 40_000, 2 * MiB])("a declared checksum over %d bytes", (sizeBytes) => {
  test("that was damaged on disk makes a miss, also when the body was read before", async () => {
    await using server = await startServer();
    const body = patterned(sizeBytes);
    await put(server, body);
    for (let round = 0; round < 3; round++) {
      expect((await fetch(`${server.url}${target}`)).headers.get(header)).toBe(hexOf(body));
    }
    flipByte(locate(server.dataDir, hexOf(body)));
    expect((await fetch(`${server.url}${target}`)).status).toBe(404);
    expect((await fetch(`${server.url}${target}`, { method: "HEAD" })).status).toBe(404);
    await put(server, body);
    expect((await fetch(`${server.url}${target}`)).headers.get(header)).toBe(hexOf(body));
  });
});

test("a file is not kept open for a download whose headers could not be made", async () => {
  const faults = noFaults();
  await using server = await startServer({ inFront: (store) => withFaults(store, faults) });
  const body = patterned(2 * MiB);
  await put(server, body);
  const { file } = locate(server.dataDir, hexOf(body));
  const openCount = (): number =>
    fs
      .readdirSync("/proc/self/fd")
      .filter((fd) => fs.existsSync(`/proc/self/fd/${fd}`))
      .filter((fd) => fs.readlinkSync(`/proc/self/fd/${fd}`) === file).length;
  faults.attributes = new Fault("internal", "Cannot open the file: EMFILE");
  expect((await fetch(`${server.url}${target}`)).status).toBe(500);
  await eventually("the file is closed", () => openCount() === 0);
  faults.attributes = null;
  expect((await fetch(`${server.url}${target}`)).status).toBe(200);
});

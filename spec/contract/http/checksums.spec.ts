import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sha256 } from "../../../runtime/base/digest.ts";
import { MiB } from "../../../runtime/base/units.ts";
import { connect, head } from "../../support/raw-http.ts";
import { eventually, type SpecServer, startServer } from "../../support/server.ts";
import { dialects, patterned, targetOf } from "./dialects.ts";
import { largeFiles } from "./files.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const header = "tuist-checksum-sha256";
const hexOf = (body: Uint8Array): string => Buffer.from(sha256(body)).toString("hex");

describe.each(dialects)("a checksum declared to $name", (dialect) => {
  const { write, stored } = dialect;
  const send = (id: string, body: Buffer<ArrayBuffer>, checksum: string): Promise<Response> =>
    fetch(`${server.url}${targetOf(dialect, id)}`, {
      method: write,
      body,
      headers: { [header]: checksum },
    });
  const get = (id: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${server.url}${targetOf(dialect, id)}`, init);

  test.each([0, 100, 100_000, 2 * MiB])(
    "that fits a body of %d bytes is kept and returned in lower case",
    async (sizeBytes) => {
      const body = patterned(sizeBytes);
      const id = `good${sizeBytes}`;
      expect((await send(id, body, hexOf(body).toUpperCase())).status).toBe(stored);
      const got = await get(id);
      expect([got.status, got.headers.get(header)]).toEqual([200, hexOf(body)]);
      const headed = await get(id, { method: "HEAD" });
      expect(headed.headers.get(header)).toBe(hexOf(body));
    },
  );

  test.each([0, 100, 100_000, 2 * MiB])(
    "that does not fit a body of %d bytes is 422 and nothing is stored",
    async (sizeBytes) => {
      const id = `bad${sizeBytes}`;
      const refused = await send(id, patterned(sizeBytes), hexOf(Buffer.from("other")));
      expect(refused.status).toBe(422);
      expect((await get(id)).status).toBe(404);
      const good = patterned(sizeBytes);
      expect((await send(id, good, hexOf(good))).status).toBe(stored);
    },
  );

  test.each(["", "abc", "g".repeat(64), "a".repeat(63), "a".repeat(65)])(
    "of the wrong form (%s) is 400",
    async (checksum) => {
      expect((await send("malformed", patterned(10), checksum)).status).toBe(400);
      expect((await get("malformed")).status).toBe(404);
    },
  );

  test("is not looked at when the artifact exists", async () => {
    const body = patterned(10);
    await fetch(`${server.url}${targetOf(dialect, "there")}`, { method: write, body });
    expect((await send("there", patterned(20), hexOf(Buffer.from("x")))).status).toBe(
      dialect.exists,
    );
    expect((await get("there")).headers.get(header)).toBeNull();
  });

  test("is checked on a chunked body too", async () => {
    const body = patterned(1_500_000);
    for (const [checksum, status] of [
      [hexOf(Buffer.from("no")), 422],
      [hexOf(body), stored],
    ] as const) {
      await using connection = await connect(server.port);
      const line = `${write} ${targetOf(dialect, "chunky")}`;
      await connection.send(head(line, "Transfer-Encoding: chunked", `${header}: ${checksum}`));
      await connection.send(`${body.length.toString(16)}\r\n`);
      await connection.send(body);
      await connection.send("\r\n0\r\n\r\n");
      expect((await connection.answer()).status).toBe(status);
    }
  });
});

test("refused bodies leave no file behind", async () => {
  const before = largeFiles(server.dataDir);
  for (let i = 0; i < 5; i++) {
    await fetch(`${server.url}/api/cache/gradle/refused${i}?tenant_id=t`, {
      method: "PUT",
      body: patterned(2 * MiB),
      headers: { [header]: hexOf(Buffer.from("x")) },
    });
  }
  await eventually("the files are gone", () => largeFiles(server.dataDir) === before);
});

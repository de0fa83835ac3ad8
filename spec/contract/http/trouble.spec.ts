import { describe, expect, test } from "bun:test";
import { Fault } from "../../../runtime/base/fault.ts";
import { KiB, MiB, second } from "../../../runtime/base/units.ts";
import { connect, head } from "../../support/raw-http.ts";
import { eventually, type SpecServer, SteppedClock, startServer } from "../../support/server.ts";
import { dialects, patterned, targetOf, troubleStatus } from "./dialects.ts";
import { noFaults, withFaults } from "./faulty-store.ts";
import { largeFiles } from "./files.ts";

const gradle = "/api/cache/gradle/";
const query = "?tenant_id=t";
const diskFault = new Fault("internal", "Cannot write /secret/path/0007.seg: EIO");

describe("a node that drains", () => {
  test.each(dialects)("refuses $name and closes the connection", async (dialect) => {
    await using server = await startServer();
    server.life.advance("draining");
    for (const method of ["GET", dialect.write]) {
      await using connection = await connect(server.port);
      await connection.send(head(`${method} ${targetOf(dialect, "a")}`, "Content-Length: 1"));
      await connection.send("x");
      const refused = await connection.answer();
      expect(refused.status).toBe(troubleStatus(dialect, method));
      expect(refused.headers.get("connection")).toBe("close");
      expect(refused.headers.get("retry-after")).toBeUndefined();
      await connection.closed();
    }
  });

  test("answers its probes and still knows what is no route", async () => {
    await using server = await startServer();
    server.life.advance("draining");
    expect((await fetch(`${server.url}/up`)).status).toBe(200);
    expect((await fetch(`${server.url}/metrics`)).status).toBe(200);
    const ready = await fetch(`${server.url}/ready`);
    expect([ready.status, ((await ready.json()) as { state: string }).state]).toEqual([
      503,
      "draining",
    ]);
    expect((await fetch(`${server.url}/nothing`)).status).toBe(404);
  });
});

describe("a node that recovers", () => {
  test("answers /up at once, and 503 with Retry-After to cache requests", async () => {
    await using server = await startServer({ phase: "recovering" });
    expect((await fetch(`${server.url}/up`)).status).toBe(200);
    expect((await fetch(`${server.url}/ready`)).status).toBe(503);
    for (const dialect of dialects) {
      const refused = await fetch(`${server.url}${targetOf(dialect, "a")}`);
      expect(refused.status).toBe(troubleStatus(dialect, "GET"));
      if (refused.status === 503) expectRetryAfter(refused.headers.get("retry-after"));
    }
    server.life.advance("joining");
    expect((await fetch(`${server.url}${gradle}a${query}`)).status).toBe(404);
    expect((await fetch(`${server.url}/ready`)).status).toBe(503);
  });
});

describe("a store", () => {
  test.each([
    ["cannot look up", "find", "GET", 503],
    ["cannot look up", "find", "PUT", 503],
    ["cannot commit", "commit", "PUT", 503],
    ["cannot clean", "commit", "DELETE", 503],
  ] as const)(
    "that %s (%s) answers %s with %d and says nothing of its files",
    async (_, call, method, status) => {
      const faults = noFaults();
      await using server = await startServer({ inFront: (store) => withFaults(store, faults) });
      faults[call] = diskFault;
      const target = method === "DELETE" ? `/api/cache/clean${query}` : `${gradle}a${query}`;
      const refused = await fetch(`${server.url}${target}`, {
        method,
        ...(method === "PUT" ? { body: "x" } : {}),
      });
      expect(refused.status).toBe(status);
      const text = await refused.text();
      expect(text).toContain("message");
      expect(text).not.toContain("secret");
      expect(server.logLines.join("")).toContain("EIO");
    },
  );

  test("that cannot write a staged body answers 500", async () => {
    const faults = noFaults();
    await using server = await startServer({ inFront: (store) => withFaults(store, faults) });
    faults.stage = diskFault;
    const refused = await fetch(`${server.url}${gradle}a${query}`, {
      method: "PUT",
      body: patterned(2 * MiB),
    });
    expect([refused.status, (await refused.text()).includes("secret")]).toEqual([500, false]);
    faults.stage = null;
    const stored = await fetch(`${server.url}${gradle}a${query}`, {
      method: "PUT",
      body: patterned(2 * MiB),
    });
    expect(stored.status).toBe(201);
  });

  test.each(["commit", "stage"] as const)(
    "that is full (%s) answers 507, and reads and cleans go on",
    async (call) => {
      const faults = noFaults();
      await using server = await startServer({ inFront: (store) => withFaults(store, faults) });
      await fetch(`${server.url}${gradle}old${query}`, { method: "PUT", body: "old" });
      faults[call] = new Fault("full", "Cannot write /secret/path: ENOSPC");
      const body = patterned(call === "stage" ? 2 * MiB : 100);
      const refused = await fetch(`${server.url}${gradle}new${query}`, { method: "PUT", body });
      expect([refused.status, (await refused.text()).includes("secret")]).toEqual([507, false]);
      expect(await (await fetch(`${server.url}${gradle}old${query}`)).text()).toBe("old");
      faults[call] = null;
      const clean = await fetch(`${server.url}/api/cache/clean${query}`, { method: "DELETE" });
      expect(clean.status).toBe(204);
      expect((await fetch(`${server.url}${gradle}new${query}`)).status).toBe(404);
    },
  );

  test.each(["small", "large"])(
    "whose outcome is unknown cuts the connection without a byte (%s)",
    async (size) => {
      const faults = noFaults();
      await using server = await startServer({ inFront: (store) => withFaults(store, faults) });
      faults.commit = new Fault("outcomeUnknown", "The group was voided");
      const lengthBytes = size === "small" ? 10 : 2 * MiB;
      for (const dialect of dialects) {
        await using connection = await connect(server.port);
        const line = `${dialect.write} ${targetOf(dialect, "unknown")}`;
        await connection.send(head(line, `Content-Length: ${lengthBytes}`));
        await connection.send(patterned(lengthBytes));
        expect((await connection.closed()).length).toBe(0);
      }
      expect(server.life.httpInflight).toBe(0);
      expect(server.budget.usedBytes).toBe(0);
      expect(
        await server.metric(
          'kura_http_exceptions_total{route="/v1/cache/{hash}",kind="outcome_unknown"}',
        ),
      ).toBe(1);
    },
  );
});

describe("Nx, which fails its build over what it does not know,", () => {
  test.each([
    ["overloaded", "overloaded"],
    ["full", "full"],
    ["unavailable", "unavailable"],
    ["internal", "unavailable"],
  ] as const)(
    "hears a miss or read-only when the store is %s, in text and counted",
    async (code, reason) => {
      const faults = noFaults();
      await using server = await startServer({ inFront: (store) => withFaults(store, faults) });
      const url = `${server.url}/v1/cache/123`;
      faults.commit = new Fault(code, "The disk of /secret is gone");
      const put = await fetch(url, { method: "PUT", body: "x" });
      expect([put.status, put.headers.get("content-type")]).toEqual([
        403,
        "text/plain; charset=utf-8",
      ]);
      faults.find = faults.commit;
      const got = await fetch(url);
      expect([got.status, got.headers.get("content-type")]).toEqual([
        404,
        "text/plain; charset=utf-8",
      ]);
      if (code !== "overloaded") expect(await got.text()).not.toContain("secret");
      for (const method of ["GET", "PUT"]) {
        const line = `kura_nx_softened_total{method="${method}",reason="${reason}"}`;
        expect(await server.metric(line)).toBe(1);
      }
    },
  );
});

describe("Metro, which fails its build over a download that is neither there nor not,", () => {
  test("hears a miss, counted, and the truth about its uploads", async () => {
    const faults = noFaults();
    await using server = await startServer({ inFront: (store) => withFaults(store, faults) });
    const url = `${server.url}/api/metro/cache/aa`;
    faults.commit = new Fault("unavailable", "The disk of /secret is gone");
    expect((await fetch(url, { method: "PUT", body: "x" })).status).toBe(503);
    faults.find = faults.commit;
    const got = await fetch(url);
    expect([got.status, (await got.text()).includes("secret")]).toEqual([404, false]);
    expect(await server.metric('kura_metro_softened_total{reason="unavailable"}')).toBe(1);
  });
});

describe("the upload budget", () => {
  test("keeps small bodies waiting in their order until there is room", async () => {
    await using server = await startServer();
    server.budget.tryTake(server.budget.limitBytes);
    const ended: number[] = [];
    const uploads = [0, 1, 2].map(async (i) => {
      await eventually("the turn has come", () => server.budget.waiting === i);
      const stored = await put(server, `waiting${i}`, 60 * KiB);
      ended.push(i);
      return stored;
    });
    await eventually("all wait", () => server.budget.waiting === 3);
    expect(ended).toEqual([]);
    // Room for one: each gives way to the next.
    server.budget.give(60 * KiB);
    await eventually("all have ended", () => ended.length === 3);
    expect(ended).toEqual([0, 1, 2]);
    expect((await Promise.all(uploads)).map(({ status }) => status)).toEqual([201, 201, 201]);
  });

  test("sheds with 429 and Retry-After when the wait is over, and stores nothing", async () => {
    const clock = new SteppedClock();
    await using server = await startServer({ clock });
    const { budget, documents } = server;
    budget.tryTake(budget.limitBytes);
    for (let bytes = documents.limitBytes; bytes > 0; bytes = Math.floor(bytes / 2)) {
      while (documents.tryTake(bytes));
    }
    const asked = [put(server, "shed", 10), putKeyValue(server), putNx(server)];
    await eventually("all wait", () => budget.waiting === 2 && documents.waiting === 1);
    clock.step(5 * second);
    const [shed, keyValue, nx] = await Promise.all(asked);
    expect([shed?.status, keyValue?.status, nx?.status]).toEqual([429, 429, 403]);
    expectRetryAfter(shed?.headers.get("retry-after") ?? null);
    server.budget.give(server.budget.limitBytes);
    expect((await fetch(`${server.url}${gradle}shed${query}`)).status).toBe(404);
  });

  test("forgets a client that hangs up while it waits", async () => {
    await using server = await startServer();
    server.budget.tryTake(server.budget.limitBytes);
    await using connection = await connect(server.port);
    await connection.send(head(`PUT ${gradle}gone${query}`, "Content-Length: 10"));
    await connection.send("0123456789");
    await eventually("it waits", () => server.budget.waiting === 1);
    connection.destroy();
    await eventually("it is forgotten", () => server.budget.waiting === 0);
    await eventually("it has ended", () => server.life.httpInflight === 0);
  });

  test("sends bodies over 64 KiB to disk, and what is small comes back from there", async () => {
    await using server = await startServer();
    server.budget.tryTake(server.budget.limitBytes);
    const spilled = put(server, "spilled", 200 * KiB);
    await eventually("it is on disk and waits", () => server.budget.waiting === 1);
    expect(largeFiles(server.dataDir)).toBe(1);
    server.budget.give(server.budget.limitBytes);
    expect((await spilled).status).toBe(201);
    expect(largeFiles(server.dataDir)).toBe(0);
    const got = await fetch(`${server.url}${gradle}spilled${query}`);
    expect(Buffer.compare(Buffer.from(await got.arrayBuffer()), patterned(200 * KiB))).toBe(0);
    expect(server.budget.usedBytes).toBe(0);
  });

  test("is not needed by large bodies and by downloads", async () => {
    await using server = await startServer();
    server.budget.tryTake(server.budget.limitBytes);
    expect((await put(server, "large", 2 * MiB)).status).toBe(201);
    expect((await fetch(`${server.url}${gradle}large${query}`)).status).toBe(200);
  });

  test("is given back after every kind of end", async () => {
    await using server = await startServer();
    for (const sizeBytes of [0, 10, 60 * KiB, 500 * KiB, 2 * MiB]) {
      expect((await put(server, `size${sizeBytes}`, sizeBytes)).status).toBe(201);
    }
    expect(server.budget.usedBytes).toBe(0);
  });

  const put = (server: SpecServer, id: string, sizeBytes: number): Promise<Response> =>
    fetch(`${server.url}${gradle}${id}${query}`, { method: "PUT", body: patterned(sizeBytes) });
  const putKeyValue = (server: SpecServer): Promise<Response> =>
    fetch(`${server.url}/api/cache/keyvalue${query}`, {
      method: "PUT",
      body: `{"cas_id":"k","entries":[]}`,
    });
  const putNx = (server: SpecServer): Promise<Response> =>
    fetch(`${server.url}/v1/cache/1`, { method: "PUT", body: "x" });
});

/** Whole seconds from 1 to 10. */
function expectRetryAfter(text: string | null): void {
  expect(text).toMatch(/^([1-9]|10)$/);
}

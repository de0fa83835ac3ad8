import { describe, expect, test } from "bun:test";
import { Fault } from "../../../../../runtime/base/fault.ts";
import { KiB } from "../../../../../runtime/base/units.ts";
import { noSource, RequestBody } from "../../../../../runtime/wire/http1/body.ts";
import { asideBytesMax, BodyMemory } from "../../../../../runtime/wire/http1/body-memory.ts";
import { bodyQueueBytesMax } from "../../../../../runtime/wire/http1/limits.ts";

function makeBody(lengthBytes: number | null): { body: RequestBody; wishes: () => number } {
  let wishes = 0;
  const body = new RequestBody(lengthBytes, {
    ...noSource,
    bodyWanted: () => (wishes += 1),
    memory: new BodyMemory(() => {}),
  });
  return { body, wishes: () => wishes };
}

async function read(body: RequestBody): Promise<string | null> {
  const chunk = await body.next();
  return chunk === null ? null : Buffer.from(chunk).toString("latin1");
}

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

describe("a body", () => {
  test("takes its length and leaves the rest", async () => {
    const { body } = makeBody(5);
    expect([body.feed(bytes("ab")), body.feed(bytes("cdefg")), body.isReceived]).toEqual([
      2,
      3,
      true,
    ]);
    expect([await read(body), await read(body), await read(body)]).toEqual(["ab", "cde", null]);
    expect(body.isTaken).toBe(true);
  });

  test("of no bytes is over before it began", async () => {
    const { body, wishes } = makeBody(0);
    expect([body.isReceived, body.isTaken, await read(body), wishes()]).toEqual([
      true,
      true,
      null,
      0,
    ]);
  });

  test("wakes whoever waits, at its end too", async () => {
    const { body, wishes } = makeBody(null);
    const [first, ending] = [read(body), 1];
    expect(wishes()).toBe(ending);
    body.feed(bytes("1\r\na\r\n"));
    expect(await first).toBe("a");
    const last = read(body);
    body.feed(bytes("0\r\n\r\n"));
    expect([await last, await read(body)]).toEqual([null, null]);
  });

  test("can be taken whole when it came in one piece, and only then", () => {
    const whole = makeBody(3).body;
    whole.feed(bytes("abcd"));
    expect([whole.takeWhole()?.length, whole.isTaken]).toEqual([3, true]);
    const parted = makeBody(3).body;
    parted.feed(bytes("a"));
    expect(parted.takeWhole()).toBe(null);
    parted.feed(bytes("bc"));
    expect(parted.takeWhole()).toBe(null);
  });

  test("that was stopped says why to all who read, and goes on counting what comes", async () => {
    const { body } = makeBody(10);
    const waiting = read(body);
    body.stop(new Fault("timeout", "too slow"));
    body.stop(new Fault("clientClosed", "gone"));
    expect(waiting).rejects.toMatchObject({ code: "timeout" });
    body.feed(bytes("abc"));
    expect([body.receivedBytes, body.isCrowded]).toEqual([3, false]);
    expect(read(body)).rejects.toMatchObject({ code: "timeout" });
  });

  test("with broken chunks gives what came before them, then says so", async () => {
    const { body } = makeBody(null);
    expect(body.feed(bytes("1\r\na\r\nX"))).toBe(-1);
    expect(read(body)).rejects.toMatchObject({ code: "badRequest" });
  });

  test("that nobody wants holds nothing and is wanted to its end", () => {
    const { body, wishes } = makeBody(2_000_000);
    body.feed(Buffer.alloc(600 * KiB));
    expect(body.isCrowded).toBe(true);
    body.discard();
    expect([body.isCrowded, wishes()]).toEqual([false, 1]);
    body.feed(Buffer.alloc(2_000_000 - 600 * KiB));
    expect([body.isTaken, body.isCrowded]).toEqual([true, false]);
  });
});

describe("the queue", () => {
  test("is crowded by its bytes, and asks for more when there is room", async () => {
    const { body, wishes } = makeBody(10_000_000);
    for (let i = 0; i < 7; i += 1) body.feed(Buffer.alloc(64 * KiB));
    expect(body.isCrowded).toBe(false);
    body.feed(Buffer.alloc(64 * KiB));
    expect([body.isCrowded, wishes()]).toEqual([true, 0]);
    await body.next();
    expect([body.isCrowded, wishes()]).toEqual([false, 1]);
  });

  test("is crowded by single bytes long before they count as much as they hold", () => {
    const { body } = makeBody(10_000_000);
    let count = 0;
    while (!body.isCrowded) {
      body.feed(Buffer.alloc(1));
      count += 1;
    }
    expect(count).toBeLessThan(bodyQueueBytesMax / 200);
  });
});

test("a body that is set aside is not read on and leaves its place to others, until it goes on", () => {
  let balances = 0;
  const memory = new BodyMemory(() => {}, 100);
  const source = { ...noSource, memory, balance: () => (balances += 1) };
  const [waiting, other] = [new RequestBody(1_000, source), new RequestBody(1_000, source)];
  waiting.feed(Buffer.alloc(150));
  expect([waiting.hasRoom, other.hasRoom]).toEqual([false, false]);
  waiting.setAside(true);
  expect([waiting.hasRoom, other.hasRoom, memory.heldBytes, balances]).toEqual([false, true, 0, 1]);
  waiting.feed(Buffer.alloc(20));
  expect(memory.heldBytes).toBe(0);
  waiting.setAside(false);
  expect([other.hasRoom, memory.heldBytes, balances]).toEqual([false, 170, 2]);
  waiting.setAside(true);
  waiting.stop(new Fault("clientClosed", "gone"));
  waiting.setAside(false);
  expect(memory.heldBytes).toBe(0);
});

test("bodies that are set aside hold no more than a bound: beyond it they count with the others", () => {
  const memory = new BodyMemory(() => {});
  const bodies = Array.from({ length: 3 }, () => {
    const body = new RequestBody(asideBytesMax, { ...noSource, memory });
    body.feed(Buffer.alloc(asideBytesMax / 2));
    body.setAside(true);
    return body;
  });
  expect([memory.heldBytes, memory.isFull]).toEqual([asideBytesMax / 2, true]);
  for (const body of bodies) body.setAside(false);
  expect(memory.heldBytes).toBe((3 * asideBytesMax) / 2);
  for (const body of bodies) body.stop(new Fault("clientClosed", "gone"));
  expect([memory.heldBytes, memory.isFull]).toEqual([0, false]);
});

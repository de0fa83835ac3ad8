import { expect, test } from "bun:test";
import { KiB } from "../../../../../runtime/base/units.ts";
import type { Answer } from "../../../../../runtime/wire/http1/answer.ts";
import { BodyMemory, bodiesBytesMax } from "../../../../../runtime/wire/http1/body-memory.ts";
import type { HttpRequest } from "../../../../../runtime/wire/http1/request.ts";
import { ConnectionBench } from "../../../../support/connection-bench.ts";
import { head } from "../../../../support/raw-http.ts";

const ok: Answer = { status: 200, headers: {}, body: { at: "none" } };

/** A handler that takes a chunk when it is told to, and answers at the end of the body. */
function stepped(): { handle: (request: HttpRequest) => Promise<Answer>; step: () => void } {
  let step: () => void = () => {};
  return {
    async handle({ body }) {
      do await new Promise<void>((resolve) => (step = resolve));
      while ((await body.next()) !== null);
      return ok;
    },
    step: () => step(),
  };
}

/** Lets what waits for promises run. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await Promise.resolve();
}

test("memory is full above its limit until half of it is left", () => {
  const states: boolean[] = [];
  const memory = new BodyMemory(() => states.push(memory.isFull));
  memory.hold(bodiesBytesMax);
  expect(memory.isFull).toBe(false);
  memory.hold(1);
  memory.hold(-1);
  memory.hold(1 - bodiesBytesMax / 2);
  expect(memory.isFull).toBe(true);
  memory.hold(-1);
  expect(states).toEqual([true, false]);
});

test("a body is held from its arrival until its reader asks for more, and not beyond its end", async () => {
  const { handle, step } = stepped();
  const bench = new ConnectionBench(handle);
  bench.send(head("PUT /", "Content-Length: 10"));
  bench.send("abcd");
  expect(bench.memory.heldBytes).toBe(4);
  step();
  await settle();
  bench.send("efghij");
  expect(bench.memory.heldBytes).toBe(10);
  step();
  await settle();
  expect(bench.memory.heldBytes).toBe(6);
  step();
  await settle();
  expect([bench.memory.heldBytes, bench.statuses()]).toEqual([0, ["200"]]);
});

test.each([
  ["is refused", (bench: ConnectionBench) => bench.send("")],
  ["loses its connection", (bench: ConnectionBench) => bench.connection.closed()],
  ["is cut off by its client", (bench: ConnectionBench) => bench.connection.halfClosed()],
])("a body that %s is held no more", async (what, end) => {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const bench = new ConnectionBench(() => promise);
  bench.send(head("PUT /", "Content-Length: 10"));
  bench.send("abcd");
  expect(bench.memory.heldBytes).toBe(4);
  if (what === "is refused") resolve({ ...ok, status: 403 });
  end(bench);
  await settle();
  expect(bench.memory.heldBytes).toBe(0);
  resolve(ok);
  await settle();
  expect(bench.memory.heldBytes).toBe(0);
});

test("while others fill the memory no body is read, but what nobody wants is", async () => {
  const bench = new ConnectionBench(stepped().handle);
  bench.send(head("PUT /", "Content-Length: 10"));
  bench.send("a");
  bench.memory.hold(bodiesBytesMax);
  expect(bench.socket.isPaused).toBe(true);
  bench.memory.hold(-bodiesBytesMax);
  expect(bench.socket.isPaused).toBe(false);

  const refusing = new ConnectionBench(() => ok);
  refusing.memory.hold(bodiesBytesMax + 1);
  refusing.send(head("PUT /", `Content-Length: ${10 * KiB}`));
  expect([refusing.statuses(), refusing.socket.isPaused]).toEqual([["200"], false]);
});

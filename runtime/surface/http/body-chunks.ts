import type { ByteBudget } from "../../base/budget.ts";
import { Fault } from "../../base/fault.ts";
import { budgetWaitMsMax } from "../../base/limits.ts";
import { KiB } from "../../base/units.ts";
import type { RequestBody } from "../../wire/http1/body.ts";
import type { WatchedBody } from "./body-watch.ts";
import type { Exchange } from "./exchange.ts";

/** What the ways of taking a body have in common. */

/** Reads a short body in one piece, after its bytes were taken from the budget, which stay taken. */
export async function receiveWhole(
  exchange: Exchange,
  lengthBytes: number,
  budget: ByteBudget,
): Promise<Uint8Array> {
  const { body } = exchange.request;
  if (!budget.tryTake(lengthBytes)) await budget.take(lengthBytes, waitOptions(exchange));
  const whole = body.takeWhole();
  if (whole !== null) return whole;
  const watched = watchBody(exchange);
  try {
    const chunks: Uint8Array[] = [];
    for (;;) {
      const chunk = await nextChunk(body, watched);
      if (chunk === null) return joinChunks(chunks, lengthBytes);
      addChunk(chunks, chunk);
    }
  } catch (error) {
    budget.give(lengthBytes);
    throw error;
  } finally {
    exchange.surface.bodies.end(watched);
  }
}

/** A body that comes too slowly ends with Fault "timeout" for whoever reads it. */
export function watchBody({ surface, request }: Exchange): WatchedBody {
  const { body } = request;
  return surface.bodies.begin({
    wake: () => body.stop(tooSlow(body.receivedBytes)),
    isHeldUp: () => !body.hasRoom,
  });
}

/** The next bytes, or null at the end of the body. */
export async function nextChunk(
  body: RequestBody,
  watched: WatchedBody,
): Promise<Uint8Array | null> {
  watched.isAwaited = true;
  try {
    const chunk = await body.next();
    if (chunk !== null) watched.bytes += chunk.length;
    return chunk;
  } finally {
    watched.isAwaited = false;
  }
}

/** Chunks shorter than this are joined: each costs some 250 bytes beside its own, which no budget counts. */
const joinedChunkBytes = 1 * KiB;

/** Keeps a chunk. A client that sends single bytes would otherwise fill the memory with what is around them. */
export function addChunk(chunks: Uint8Array[], chunk: Uint8Array): void {
  const last = chunks.at(-1);
  if (last === undefined || last.length + chunk.length > joinedChunkBytes) {
    chunks.push(chunk);
    return;
  }
  chunks[chunks.length - 1] = joinChunks([last, chunk], last.length + chunk.length);
}

export function joinChunks(chunks: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) return first;
  const joined = new Uint8Array(sizeBytes);
  let at = 0;
  for (const chunk of chunks) {
    joined.set(chunk, at);
    at += chunk.length;
  }
  return joined;
}

export function waitOptions(exchange: Exchange): { withinMs: number; signal: AbortSignal } {
  return { withinMs: budgetWaitMsMax, signal: exchange.request.signal };
}

export function tooLarge(sizeBytes: number, limitBytes: number): Fault {
  const message = `Cannot store the body: ${sizeBytes} bytes or more exceed the limit of ${limitBytes}`;
  return new Fault("tooLarge", message);
}

function tooSlow(bytes: number): Fault {
  return new Fault(
    "timeout",
    `The body comes too slowly: ${bytes} bytes so far; nothing was stored`,
  );
}

import { Fault } from "../../base/fault.ts";
import { budgetWaitMsMax } from "../../base/limits.ts";
import type { WatchedBody } from "./body-watch.ts";
import type { Exchange } from "./exchange.ts";

/** What the ways of taking a body have in common. */

export type BodyReader = ReadableStreamDefaultReader<Uint8Array>;

/** Reads a short body in one piece, after its bytes were taken from the budget, which stay taken. */
export async function receiveWhole(exchange: Exchange, lengthBytes: number): Promise<Uint8Array> {
  const { budget, bodies } = exchange.surface;
  if (!budget.tryTake(lengthBytes)) await budget.take(lengthBytes, waitOptions(exchange));
  let wake: () => void = () => {};
  const watched = bodies.begin(() => wake());
  try {
    const bytes = new Uint8Array(
      await new Promise<ArrayBuffer>((resolve, reject) => {
        wake = () => reject(tooSlow(0));
        exchange.request.arrayBuffer().then(resolve, reject);
      }),
    );
    exchange.isBodyTaken = true;
    if (bytes.length !== lengthBytes) throw cutOff(bytes.length);
    return bytes;
  } catch (error) {
    budget.give(lengthBytes);
    throw asBodyFault(error, 0);
  } finally {
    bodies.end(watched);
  }
}

export async function nextChunk(
  reader: BodyReader,
  watched: WatchedBody,
): Promise<Uint8Array | null> {
  watched.isAwaited = true;
  try {
    const { done, value } = await reader.read();
    if (watched.isSlow) throw tooSlow(watched.bytes);
    if (done) return null;
    watched.bytes += value.length;
    return value;
  } catch (error) {
    throw asBodyFault(error, watched.bytes);
  } finally {
    watched.isAwaited = false;
  }
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

/** Content-Length, which Bun and `splitTarget` have checked; null for a chunked body. No body at all counts as chunked and is empty. */
export function declaredLength(request: Request): number | null {
  const text = request.headers.get("content-length");
  return text === null ? null : Number(text);
}

export function waitOptions(exchange: Exchange): { withinMs: number; signal: AbortSignal } {
  return { withinMs: budgetWaitMsMax, signal: exchange.request.signal };
}

/** What Bun throws when the connection ended before the body; it does not tell a cut from bad chunk framing. */
function asBodyFault(error: unknown, bytes: number): unknown {
  if (error instanceof Fault) return error;
  const isGone = error instanceof Error && error.name === "AbortError";
  return isGone ? cutOff(bytes, error) : error;
}

export function tooLarge(sizeBytes: number, limitBytes: number): Fault {
  const message = `Cannot store the body: ${sizeBytes} bytes or more exceed the limit of ${limitBytes}`;
  return new Fault("tooLarge", message);
}

export function cutOff(bytes: number, cause?: unknown): Fault {
  return new Fault("clientClosed", `The body ended early, after ${bytes} bytes`, { cause });
}

function tooSlow(bytes: number): Fault {
  return new Fault(
    "timeout",
    `The body comes too slowly: ${bytes} bytes so far; nothing was stored`,
  );
}

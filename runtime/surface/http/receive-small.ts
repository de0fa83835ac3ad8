import {
  addChunk,
  joinChunks,
  nextChunk,
  receiveWhole,
  tooLarge,
  waitOptions,
  watchBody,
} from "./body-chunks.ts";
import type { Exchange } from "./exchange.ts";

/** A body that may be kept in memory only, and is charged in full before it is asked for. */
export type SmallUpload = { readonly exchange: Exchange; readonly limitBytes: number };

/** Its memory counts among the documents until it is disposed of. */
export type SmallBody = Disposable & { readonly bytes: Uint8Array };

/**
 * Takes a body that is parsed in memory whatever its size, so all that it may become is charged first: known length,
 * else the limit.
 */
export async function receiveSmall({ exchange, limitBytes }: SmallUpload): Promise<SmallBody> {
  const { lengthBytes } = exchange.request.body;
  if (lengthBytes !== null && lengthBytes > limitBytes) throw tooLarge(lengthBytes, limitBytes);
  const { documents: budget } = exchange.surface;
  const chargeBytes = lengthBytes ?? Math.min(limitBytes, budget.limitBytes);
  const bytes =
    lengthBytes === null
      ? await receiveUnknown(exchange, limitBytes, chargeBytes)
      : await receiveWhole(exchange, lengthBytes, budget);
  return { bytes, [Symbol.dispose]: () => budget.give(chargeBytes) };
}

/** Reads a chunked body of at most `limitBytes`, after `chargeBytes` were taken from the budget, which stay taken. */
async function receiveUnknown(
  exchange: Exchange,
  limitBytes: number,
  chargeBytes: number,
): Promise<Uint8Array> {
  const { documents: budget, bodies } = exchange.surface;
  await budget.take(chargeBytes, waitOptions(exchange));
  const watched = watchBody(exchange);
  try {
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for (;;) {
      const chunk = await nextChunk(exchange.request.body, watched);
      if (chunk === null) return joinChunks(chunks, sizeBytes);
      sizeBytes += chunk.length;
      if (sizeBytes > limitBytes) throw tooLarge(sizeBytes, limitBytes);
      addChunk(chunks, chunk);
    }
  } catch (error) {
    budget.give(chargeBytes);
    throw error;
  } finally {
    bodies.end(watched);
  }
}

import { refusedBodyBytesMax } from "../../base/limits.ts";
import {
  type BodyReader,
  declaredLength,
  joinChunks,
  nextChunk,
  receiveWhole,
  tooLarge,
  waitOptions,
} from "./body-chunks.ts";
import type { Exchange } from "./exchange.ts";

/** A body that may be kept in memory only, and is charged in full before it is asked for. */
export type SmallUpload = { readonly exchange: Exchange; readonly limitBytes: number };

/** Its memory counts against the upload budget until it is disposed of. */
export type SmallBody = Disposable & { readonly bytes: Uint8Array };

const noBytes = new Uint8Array(0);

/**
 * Takes a body that is parsed in memory whatever its size, so all that it may become is charged first: known length,
 * else the limit.
 */
export async function receiveSmall({ exchange, limitBytes }: SmallUpload): Promise<SmallBody> {
  const lengthBytes = declaredLength(exchange.request);
  if (lengthBytes !== null && lengthBytes > limitBytes) throw tooLarge(lengthBytes, limitBytes);
  const { budget } = exchange.surface;
  const chargeBytes = lengthBytes ?? Math.min(limitBytes, budget.limitBytes);
  const bytes =
    lengthBytes === null
      ? await receiveUnknown(exchange, limitBytes, chargeBytes)
      : await receiveWhole(exchange, lengthBytes);
  return { bytes, [Symbol.dispose]: () => budget.give(chargeBytes) };
}

/** Reads a chunked body of at most `limitBytes`, after `chargeBytes` were taken from the budget, which stay taken. */
async function receiveUnknown(
  exchange: Exchange,
  limitBytes: number,
  chargeBytes: number,
): Promise<Uint8Array> {
  const { budget, bodies } = exchange.surface;
  const stream = exchange.request.body;
  await budget.take(chargeBytes, waitOptions(exchange));
  if (stream === null) return noBytes;
  const reader: BodyReader = stream.getReader();
  const watched = bodies.begin(() => void reader.cancel().catch(() => {}));
  try {
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for (;;) {
      const chunk = await nextChunk(reader, watched);
      const isEnd = chunk === null;
      exchange.isBodyTaken = isEnd;
      if (chunk !== null) sizeBytes += chunk.length;
      if (chunk !== null && sizeBytes <= limitBytes) chunks.push(chunk);
      exchange.hangsUp = sizeBytes > limitBytes + refusedBodyBytesMax;
      // What is too large is read on for a while, so that the client has sent all and sees the refusal.
      const isOver = sizeBytes > limitBytes && (isEnd || exchange.hangsUp);
      if (isOver) throw tooLarge(sizeBytes, limitBytes);
      if (isEnd) return joinChunks(chunks, sizeBytes);
    }
  } catch (error) {
    budget.give(chargeBytes);
    throw error;
  } finally {
    bodies.end(watched);
  }
}

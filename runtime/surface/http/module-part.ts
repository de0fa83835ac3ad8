import { wholeBodyBytesMax } from "../../base/limits.ts";
import { parsePartNumber } from "../../catalog/module.ts";
import type { PartStage } from "../../store/multipart.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { release } from "../../wire/http1/chunk-memory.ts";
import { emptyAnswer } from "./answer.ts";
import { nextChunk, receiveWhole, tooLarge, watchBody } from "./body-chunks.ts";
import type { Exchange } from "./exchange.ts";
import { findUpload, required } from "./module-upload.ts";
import { readParameters } from "./query.ts";
import { resultOf } from "./upload.ts";

/** POST of one part: refused before its body is read where its length tells enough. */
export async function takeModulePart(exchange: Exchange): Promise<Answer> {
  const { metrics } = exchange.surface;
  try {
    await takePart(exchange);
    metrics.part("ok");
    return emptyAnswer(exchange, 204);
  } catch (error) {
    metrics.part(resultOf(error));
    throw error;
  }
}

async function takePart(exchange: Exchange): Promise<void> {
  const { config, store, status } = exchange.surface;
  status.memory.admitWrite();
  const given = readParameters(exchange.query, ["upload_id", "part_number"]);
  const id = required(given.upload_id, "upload_id");
  const number = parsePartNumber(required(given.part_number, "part_number"));
  findUpload(exchange, id);
  const limitBytes = config.modulePartBytesMax;
  const sizeBytes = exchange.request.body.lengthBytes;
  if (sizeBytes !== null && sizeBytes > limitBytes) throw tooLarge(sizeBytes, limitBytes);
  const stage = store().uploads.openPart(id, { number, sizeBytes });
  try {
    await receiveInto(stage, exchange, limitBytes);
    await stage.finish();
  } catch (error) {
    stage.discard();
    throw error;
  }
}

async function receiveInto(
  stage: PartStage,
  exchange: Exchange,
  limitBytes: number,
): Promise<void> {
  const lengthBytes = exchange.request.body.lengthBytes;
  if (lengthBytes === 0) return;
  if (lengthBytes === null || lengthBytes > wholeBodyBytesMax) {
    await receiveStream(stage, exchange, limitBytes);
    return;
  }
  const bytes = await receiveWhole(exchange, lengthBytes, exchange.surface.budget);
  try {
    await stage.write(bytes);
  } finally {
    exchange.surface.budget.give(lengthBytes);
  }
}

async function receiveStream(
  stage: PartStage,
  exchange: Exchange,
  limitBytes: number,
): Promise<void> {
  const { body } = exchange.request;
  const watched = watchBody(exchange);
  stage.onRoomWait = (isWaiting) => body.setAside(isWaiting);
  try {
    for (;;) {
      const chunk = await nextChunk(body, watched);
      if (chunk === null) return;
      if (watched.bytes > limitBytes) throw tooLarge(watched.bytes, limitBytes);
      await stage.write(chunk);
      release(chunk);
    }
  } finally {
    exchange.surface.bodies.end(watched);
  }
}

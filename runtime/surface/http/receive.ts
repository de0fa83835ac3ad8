import { type RunningDigest, startDigest } from "../../base/digest-function.ts";
import { waitingBodyBytesMax, wholeBodyBytesMax } from "../../base/limits.ts";
import type { ArtifactName } from "../../store/identity.ts";
import type { BodyFacts, Stage, StagedBody } from "../../store/store.ts";
import { release } from "../../wire/http1/chunk-memory.ts";
import {
  addChunk,
  joinChunks,
  nextChunk,
  receiveWhole,
  tooLarge,
  waitOptions,
  watchBody,
} from "./body-chunks.ts";
import { checkBytes, checkDigest, type NamedDigest, type WantedDigest } from "./body-digest.ts";
import type { WatchedBody } from "./body-watch.ts";
import type { Exchange } from "./exchange.ts";

/** A body that has arrived whole. Its memory counts against the upload budget until it is disposed of. */
export type ReceivedBody = Disposable & {
  readonly body: Uint8Array | StagedBody;
  readonly sizeBytes: number;
};

export type Upload = {
  readonly exchange: Exchange;
  readonly name: ArtifactName;
  readonly limitBytes: number;
  /** A SHA-256 among them was declared by the client: a body with another one is refused. */
  readonly facts: BodyFacts;
  /** The digest that the path names the body by, which counts in place of a declared one. */
  readonly named?: NamedDigest | undefined;
};

const noBytes = new Uint8Array(0);

/**
 * Takes the body of an upload: up to `KURA_JOURNAL_BODY_MAX_BYTES` in memory, larger ones in a stage on disk.
 * @throws Fault "tooLarge", "clientClosed", "timeout", "overloaded", "checksumMismatch", or what the stage throws.
 * Nothing is left behind then.
 */
export async function receiveBody(upload: Upload): Promise<ReceivedBody> {
  const { exchange, limitBytes } = upload;
  const { budget, config } = exchange.surface;
  const { lengthBytes } = exchange.request.body;
  if (lengthBytes !== null && lengthBytes > limitBytes) throw tooLarge(lengthBytes, limitBytes);
  if (lengthBytes === 0) return inMemory(upload, noBytes, 0);
  if (lengthBytes !== null && lengthBytes <= wholeBodyBytesMax) {
    const bytes = await receiveWhole(exchange, lengthBytes);
    return inMemory(upload, bytes, lengthBytes);
  }
  const intake = new Intake(upload);
  try {
    if (lengthBytes !== null && lengthBytes > config.journalBodyBytesMax)
      return await toDisk(intake);
    const isWhole = await fillMemory(intake);
    if (!isWhole) return await toDisk(intake);
    const heldBytes = intake.heldBytes;
    intake.heldBytes = 0;
    return inMemory(upload, joinChunks(intake.chunks, intake.sizeBytes), heldBytes);
  } finally {
    exchange.surface.bodies.end(intake.watched);
    budget.give(intake.heldBytes);
  }
}

/** One body on its way in. */
class Intake {
  readonly upload: Upload;
  readonly lengthBytes: number | null;
  readonly watched: WatchedBody;
  /** What was read and is still in memory. */
  chunks: Uint8Array[] = [];
  sizeBytes = 0;
  /** Bytes taken from the budget. */
  heldBytes = 0;

  constructor(upload: Upload) {
    this.upload = upload;
    this.lengthBytes = upload.exchange.request.body.lengthBytes;
    this.watched = watchBody(upload.exchange);
  }

  /** The next bytes, or null at the end of the body. */
  async next(): Promise<Uint8Array | null> {
    const { watched, upload } = this;
    const chunk = await nextChunk(upload.exchange.request.body, watched);
    if (chunk === null) return null;
    this.sizeBytes += chunk.length;
    if (this.sizeBytes > upload.limitBytes) throw tooLarge(this.sizeBytes, upload.limitBytes);
    return chunk;
  }
}

/** Reads into memory. False when the body is too large for it or the budget is used up: the rest goes to disk. */
async function fillMemory(intake: Intake): Promise<boolean> {
  const { exchange } = intake.upload;
  const { budget, config } = exchange.surface;
  const mayWait = intake.lengthBytes !== null && intake.lengthBytes <= waitingBodyBytesMax;
  for (;;) {
    const chunk = await intake.next();
    if (chunk === null) return true;
    addChunk(intake.chunks, chunk);
    if (intake.sizeBytes > config.journalBodyBytesMax) return false;
    // A small body that was charged in full at its first chunk needs no more.
    if (intake.heldBytes >= intake.sizeBytes) continue;
    if (budget.tryTake(chunk.length)) {
      intake.heldBytes += chunk.length;
    } else if (mayWait && intake.heldBytes === 0) {
      const lengthBytes = intake.lengthBytes ?? 0;
      intake.watched.isAwaited = false;
      await budget.take(lengthBytes, waitOptions(exchange));
      intake.heldBytes = lengthBytes;
    } else {
      return false;
    }
  }
}

/** Writes what is in memory and then the rest of the body into a file of its own. */
async function toDisk(intake: Intake): Promise<ReceivedBody> {
  const { exchange, name, facts } = intake.upload;
  const { budget, config } = exchange.surface;
  const stage = exchange.surface.store().stage(intake.lengthBytes ?? 0);
  try {
    const wanted = wantedDigest(intake.upload);
    const hash = wanted === null ? null : startDigest(wanted.digestFunction);
    for (const chunk of intake.chunks) await writeChunk(stage, chunk, hash);
    intake.chunks = [];
    budget.give(intake.heldBytes);
    intake.heldBytes = 0;

    for (let chunk = await intake.next(); chunk !== null; chunk = await intake.next()) {
      await writeChunk(stage, chunk, hash);
    }
    if (hash !== null && wanted !== null) checkDigest(hash.digest(), wanted);
    if (stage.sizeBytes <= config.journalBodyBytesMax) return await readBack(intake, stage);
    const body = await stage.finish(name, facts);
    return { body, sizeBytes: body.sizeBytes, [Symbol.dispose]: () => {} };
  } catch (error) {
    stage.discard();
    throw error;
  }
}

/** A body that went to disk for lack of memory but turned out small waits for its memory and leaves no file. */
async function readBack(intake: Intake, stage: Stage): Promise<ReceivedBody> {
  const { exchange } = intake.upload;
  const { budget, bodies } = exchange.surface;
  const { sizeBytes } = stage;
  bodies.end(intake.watched);
  await budget.take(sizeBytes, waitOptions(exchange));
  intake.heldBytes = sizeBytes;
  const body = stage.readBack();
  stage.discard();
  intake.heldBytes = 0;
  return { body, sizeBytes, [Symbol.dispose]: () => budget.give(sizeBytes) };
}

/** Hashes and writes a chunk, which is gone then. */
async function writeChunk(
  stage: Stage,
  chunk: Uint8Array,
  hash: RunningDigest | null,
): Promise<void> {
  hash?.update(chunk);
  await stage.write(chunk);
  release(chunk);
}

function inMemory(upload: Upload, body: Uint8Array, heldBytes: number): ReceivedBody {
  const { budget } = upload.exchange.surface;
  const wanted = wantedDigest(upload);
  try {
    if (wanted !== null) checkBytes(body, wanted);
  } catch (error) {
    budget.give(heldBytes);
    throw error;
  }
  return { body, sizeBytes: body.length, [Symbol.dispose]: () => budget.give(heldBytes) };
}

function wantedDigest({ facts, named }: Upload): WantedDigest | null {
  if (named !== undefined) return { ...named, by: "path" };
  if (facts.sha256 === null) return null;
  return { digestFunction: "sha256", bytes: facts.sha256, by: "header" };
}

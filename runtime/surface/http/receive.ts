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
import { BodyHold } from "./body-hold.ts";
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
  const { config, bodies } = exchange.surface;
  const { lengthBytes } = exchange.request.body;
  if (lengthBytes !== null && lengthBytes > limitBytes) throw tooLarge(lengthBytes, limitBytes);
  const hold = new BodyHold(exchange.surface);
  if (lengthBytes === 0) return inMemory(upload, noBytes, hold);
  if (lengthBytes !== null && lengthBytes <= wholeBodyBytesMax) {
    const bytes = await receiveWhole(exchange, lengthBytes, exchange.surface.budget);
    hold.tookFromBudget(lengthBytes);
    return inMemory(upload, bytes, hold);
  }
  const intake = new Intake(upload, hold);
  try {
    const fits = lengthBytes === null || lengthBytes <= config.journalBodyBytesMax;
    const body = fits ? await fillMemory(intake) : null;
    return body === null ? await toDisk(intake) : inMemory(upload, body, hold);
  } catch (error) {
    hold.giveBack();
    throw error;
  } finally {
    bodies.end(intake.watched);
  }
}

/** One body on its way in. */
class Intake {
  readonly upload: Upload;
  readonly hold: BodyHold;
  readonly lengthBytes: number | null;
  readonly watched: WatchedBody;
  /** What was read and is still in memory. */
  chunks: Uint8Array[] = [];
  sizeBytes = 0;

  constructor(upload: Upload, hold: BodyHold) {
    this.upload = upload;
    this.hold = hold;
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

/** Reads into memory. Null when the body is too large for it or the memory is in use: the rest goes to disk. */
async function fillMemory(intake: Intake): Promise<Uint8Array | null> {
  const { lengthBytes } = intake;
  if (lengthBytes === null || lengthBytes > waitingBodyBytesMax) return await gather(intake);
  const first = await intake.next();
  if (first !== null) addChunk(intake.chunks, first);
  if (intake.sizeBytes < lengthBytes) return await gather(intake);
  intake.watched.isAwaited = false;
  await intake.upload.exchange.surface.budget.take(
    lengthBytes,
    waitOptions(intake.upload.exchange),
  );
  intake.hold.tookFromBudget(lengthBytes);
  return joined(intake);
}

/** Charged as it comes, what has come already too: a slow client holds no more than it has sent. */
async function gather(intake: Intake): Promise<Uint8Array | null> {
  const { hold, lengthBytes, upload } = intake;
  const { journalBodyBytesMax } = upload.exchange.surface.config;
  let chargedBytes = 0;
  for (;;) {
    const grownBytes = intake.sizeBytes - chargedBytes;
    if (intake.sizeBytes > journalBodyBytesMax) return null;
    if (grownBytes > 0 && !hold.tryGrow(grownBytes, lengthBytes)) return null;
    chargedBytes = intake.sizeBytes;
    const chunk = await intake.next();
    if (chunk === null) return joined(intake);
    addChunk(intake.chunks, chunk);
  }
}

function joined({ chunks, sizeBytes }: Intake): Uint8Array {
  const body = joinChunks(chunks, sizeBytes);
  if (chunks.length > 1) for (const chunk of chunks) release(chunk);
  return body;
}

/** Writes what is in memory and then the rest of the body into a file of its own. */
async function toDisk(intake: Intake): Promise<ReceivedBody> {
  const { exchange, name, facts } = intake.upload;
  const { config } = exchange.surface;
  const stage = exchange.surface.store().stage(intake.lengthBytes ?? 0);
  stage.onRoomWait = (isWaiting) => exchange.request.body.setAside(isWaiting);
  try {
    const wanted = wantedDigest(intake.upload);
    const hash = wanted === null ? null : startDigest(wanted.digestFunction);
    for (const chunk of intake.chunks) await writeChunk(stage, chunk, hash);
    intake.chunks = [];
    intake.hold.giveBack();

    for (let chunk = await intake.next(); chunk !== null; chunk = await intake.next()) {
      await writeChunk(stage, chunk, hash);
    }
    stage.endIntake();
    if (hash !== null && wanted !== null) checkDigest(hash.digest(), wanted);
    const isSmall = stage.sizeBytes <= config.journalBodyBytesMax;
    const inMemory = isSmall ? await readBack(intake, stage) : null;
    if (inMemory !== null) return inMemory;
    const body = await stage.finish(name, facts);
    return { body, sizeBytes: body.sizeBytes, [Symbol.dispose]: () => {} };
  } catch (error) {
    stage.discard();
    throw error;
  }
}

/**
 * A body that went to disk for lack of memory but turned out small waits for its memory and leaves no file. Null when it
 * has waited too long: it is better kept as a file than refused after all that.
 */
async function readBack(intake: Intake, stage: Stage): Promise<ReceivedBody | null> {
  const { upload, hold } = intake;
  const { exchange } = upload;
  const { bodies } = exchange.surface;
  const { sizeBytes } = stage;
  bodies.end(intake.watched);
  if (!(await hold.waitForMemory(sizeBytes, waitOptions(exchange).signal))) return null;
  const body = stage.readBack();
  stage.discard();
  return handOut(body, hold);
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

function inMemory(upload: Upload, body: Uint8Array, hold: BodyHold): ReceivedBody {
  const wanted = wantedDigest(upload);
  try {
    if (wanted !== null) checkBytes(body, wanted);
  } catch (error) {
    hold.giveBack();
    throw error;
  }
  return handOut(body, hold);
}

/** Once it is disposed of, nobody reads it any more: the store has copied it, or never will. */
function handOut(body: Uint8Array, hold: BodyHold): ReceivedBody {
  const dispose = (): void => {
    hold.giveBack();
    // The collector would let some of them gather; short ones are not worth the call.
    if (body.length > waitingBodyBytesMax) release(body);
  };
  return { body, sizeBytes: body.length, [Symbol.dispose]: dispose };
}

function wantedDigest({ facts, named }: Upload): WantedDigest | null {
  if (named !== undefined) return { ...named, by: "path" };
  if (facts.sha256 === null) return null;
  return { digestFunction: "sha256", bytes: facts.sha256, by: "header" };
}

import { BufferPool } from "../../base/buffer-pool.ts";
import { type RunningDigest, startDigest } from "../../base/digest-function.ts";
import { Fault } from "../../base/fault.ts";
import { budgetWaitMsMax, waitingBodyBytesMax } from "../../base/limits.ts";
import { KiB, MiB } from "../../base/units.ts";
import { reapiBlob } from "../../catalog/kinds.ts";
import { cacheShares, type MemoryTier } from "../../observe/memory-tier.ts";
import type { ArtifactName } from "../../store/identity.ts";
import type { BodyFacts, Stage, StagedBody } from "../../store/store.ts";
import type { WireDigest } from "../../wire/proto/digest.ts";
import { BodyHold } from "../http/body-hold.ts";
import { sha256Of } from "./blobs.ts";
import { bad } from "./requests.ts";
import type { GrpcSurface } from "./surface.ts";

/** What a blob needs on its way in. */
export type IncomingDeps = Pick<GrpcSurface, "budget" | "gathering" | "config" | "store"> & {
  /** Called when a file finds no room: gives up remains of other uploads, and says whether there were any. */
  readonly makeRoom: () => boolean;
};

/** Messages are put together before they go to disk: a write by another thread costs as much as copying 64 KiB. */
const gatherBytesMax = 256 * KiB;
/** With many blobs on their way to disk each has as little as this, so that a thousand that stall hold 64 MiB. */
const gatherBytesMin = 64 * KiB;
const largeGathersMax = 32;
const gathers = new BufferPool(4 * MiB);
let gatherCount = 0;

/** Memory of blobs that are stored, for the next ones. */
const memories = new BufferPool(8 * MiB);

/** Frees of the idle memory what the tier does not leave. */
export function adaptBlobMemory(tier: MemoryTier): void {
  for (const pool of [gathers, memories]) pool.keep(cacheShares[tier]);
}

/**
 * A blob on its way in: in memory while there is room for it, else in a file. Disposing of it removes what was not
 * handed out, and gives back its memory.
 */
export class IncomingBlob implements Disposable {
  readonly digest: WireDigest;
  readonly #deps: IncomingDeps;
  readonly #hold: BodyHold;
  /** Of the whole size; made with the first bytes. */
  #memory: Uint8Array | null = null;
  #stage: Stage | null = null;
  #hash: RunningDigest | null = null;
  /** What came and was not written to the file yet. */
  #gather: Buffer | null = null;
  #gatheredBytes = 0;
  receivedBytes = 0;
  /** Told when bytes that were added wait for room on the disk, and when that has ended. */
  onRoomWait: (isWaiting: boolean) => void = () => {};

  private constructor(deps: IncomingDeps, digest: WireDigest) {
    this.#deps = deps;
    this.#hold = new BodyHold(deps);
    this.digest = digest;
  }

  /**
   * Short ones wait for their memory; longer ones that find none go to disk.
   * @throws Fault "overloaded" or "full" when there is no room, "clientClosed" when the signal fires meanwhile.
   */
  static async begin(
    deps: IncomingDeps,
    digest: WireDigest,
    signal: () => AbortSignal,
  ): Promise<IncomingBlob> {
    const blob = new IncomingBlob(deps, digest);
    const { sizeBytes } = digest;
    const { budget, config } = deps;
    if (sizeBytes <= config.journalBodyBytesMax && blob.#hold.tryGrow(sizeBytes, sizeBytes)) {
      return blob;
    }
    if (sizeBytes <= waitingBodyBytesMax) {
      await budget.take(sizeBytes, { withinMs: budgetWaitMsMax, signal: signal() });
      blob.#hold.tookFromBudget(sizeBytes);
    } else {
      blob.#beginStage();
    }
    return blob;
  }

  /**
   * The bytes may be used again once the promise resolves, at once when there is none.
   * @throws Fault "badRequest" when there are more bytes than the digest says.
   */
  add(data: Uint8Array): Promise<void> | null {
    const { hash, sizeBytes } = this.digest;
    const endBytes = this.receivedBytes + data.length;
    if (endBytes > sizeBytes) {
      throw bad(`Cannot store ${hash}: more than the ${sizeBytes} bytes came that its digest says`);
    }
    if (this.#stage !== null) return this.#addToStage(this.#stage, data);
    this.#addToMemory(data);
    this.receivedBytes = endBytes;
    return null;
  }

  /**
   * What to commit, once everything has come.
   * @throws Fault "badRequest" or "checksumMismatch" when the bytes are not those of the digest.
   */
  async finish(name: ArtifactName, signal: () => AbortSignal): Promise<Uint8Array | StagedBody> {
    const { hash, sizeBytes } = this.digest;
    if (this.receivedBytes !== sizeBytes) {
      throw bad(
        `Cannot store ${hash}: ${this.receivedBytes} bytes came, its digest says ${sizeBytes}`,
      );
    }
    if (this.#stage !== null) await this.#writeGathered(this.#stage);
    const running = this.#hash ?? startDigest(this.digest.digestFunction);
    if (this.#memory !== null) running.update(this.#memory);
    const actual = Buffer.from(running.digest()).toString("hex");
    if (actual !== hash) {
      const message = `Cannot store the blob as ${hash}: its own hash is ${actual}`;
      throw new Fault("checksumMismatch", message);
    }
    if (this.#memory !== null) return this.#memory;
    return (await this.#readBack(signal)) ?? (await this.#finishStage(name));
  }

  /** Leaves memory for a file that is closed, so that what has come can wait. */
  async toDisk(): Promise<void> {
    if (this.#stage !== null) await this.#writeGathered(this.#stage);
    this.#endGather();
    await this.#leaveMemory();
    this.#stage?.park();
  }

  async #leaveMemory(): Promise<void> {
    const memory = this.#memory;
    if (memory === null) return;
    const stage = this.#beginStage();
    this.#memory = null;
    try {
      const bytes = memory.subarray(0, this.receivedBytes);
      this.#hash?.update(bytes);
      await stage.write(bytes);
    } finally {
      this.#hold.giveBack();
    }
  }

  [Symbol.dispose](): void {
    this.#endGather();
    this.#hold.giveBack();
    discardStage(this.#stage);
    this.#stage = null;
    const memory = this.#memory;
    this.#memory = null;
    if (memory !== null) memories.give(memory);
  }

  #beginStage(): Stage {
    this.#stage = this.#makeStage();
    this.#stage.onRoomWait = (isWaiting) => this.onRoomWait(isWaiting);
    this.#hash = startDigest(this.digest.digestFunction);
    return this.#stage;
  }

  #makeStage(): Stage {
    const { store, makeRoom } = this.#deps;
    for (;;) {
      try {
        return store().stage(this.digest.sizeBytes);
      } catch (error) {
        const code = error instanceof Fault ? error.code : null;
        if ((code !== "full" && code !== "overloaded") || !makeRoom()) throw error;
      }
    }
  }

  #addToMemory(data: Uint8Array): void {
    const { sizeBytes } = this.digest;
    this.#memory ??= memories.take(sizeBytes).subarray(0, sizeBytes);
    this.#memory.set(data, this.receivedBytes);
  }

  #addToStage(stage: Stage, data: Uint8Array): Promise<void> | null {
    const gather = this.#gather ?? this.#beginGather();
    if (this.#gatheredBytes + data.length > gather.length) return this.#writeThrough(stage, data);
    gather.set(data, this.#gatheredBytes);
    this.#gatheredBytes += data.length;
    this.receivedBytes += data.length;
    return null;
  }

  async #writeThrough(stage: Stage, data: Uint8Array): Promise<void> {
    await this.#writeGathered(stage);
    if (data.length <= (this.#gather?.length ?? 0)) {
      this.#addToStage(stage, data);
      return;
    }
    this.#hash?.update(data);
    await stage.write(data);
    this.receivedBytes += data.length;
  }

  #beginGather(): Buffer {
    const gather = gathers.take(gatherCount < largeGathersMax ? gatherBytesMax : gatherBytesMin);
    gatherCount += 1;
    this.#gather = gather;
    return gather;
  }

  #endGather(): void {
    if (this.#gather === null) return;
    gatherCount -= 1;
    gathers.give(this.#gather);
    this.#gather = null;
  }

  async #writeGathered(stage: Stage): Promise<void> {
    if (this.#gather === null || this.#gatheredBytes === 0) return;
    const bytes = this.#gather.subarray(0, this.#gatheredBytes);
    this.#gatheredBytes = 0;
    this.#hash?.update(bytes);
    await stage.write(bytes);
  }

  /**
   * One that went to disk for lack of memory leaves no file when it is small. Null when it is not, or has waited too
   * long for its memory.
   */
  async #readBack(signal: () => AbortSignal): Promise<Uint8Array | null> {
    const stage = this.#stage;
    const { sizeBytes } = this.digest;
    const { config } = this.#deps;
    if (stage === null || sizeBytes > config.journalBodyBytesMax) return null;
    if (!(await this.#hold.waitForMemory(sizeBytes, signal()))) return null;
    this.#memory = stage.readBack();
    discardStage(stage);
    this.#stage = null;
    return this.#memory;
  }

  async #finishStage(name: ArtifactName): Promise<StagedBody> {
    const stage = this.#stage;
    if (stage === null) throw new Fault("internal", "An upload has neither memory nor a file");
    const facts: BodyFacts = {
      kind: reapiBlob.kind,
      sha256: sha256Of(this.digest),
      attributes: {},
      writer: "",
    };
    const staged = await stage.finish(name, facts);
    this.#stage = null;
    return staged;
  }
}

/** A file that cannot be removed, on a disk that has become read-only say, is one that no record names: the next start does. */
function discardStage(stage: Stage | null): void {
  try {
    stage?.discard();
  } catch {}
}

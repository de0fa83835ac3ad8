import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { second } from "../base/units.ts";
import { workerPath } from "../base/worker-path.ts";
import type { Census } from "./census.ts";
import type { LargeExpectation, Maintenance } from "./maintenance.ts";
import type { RecordPage, RecordRange } from "./record-page.ts";
import type { ScopeName, ScopePlace } from "./scope-names.ts";
import type { DamagedPlace, HitRow } from "./scrub-place.ts";
import type { ScrubRequest, ScrubSlice } from "./scrub-slice.ts";
import type { WorkerJob, WorkerReply } from "./worker-protocol.ts";

type Waiting = { resolve: (value: unknown) => void; reject: (fault: Fault) => void };

const pingPeriodMs = 5 * second;

/** Maintenance in a Worker of this process. Its file is a second entry point of the build. */
export class WorkerMaintenance implements Maintenance {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #number = 0;
  #closed: Fault | null = null;
  #closing: Promise<void> | null = null;
  readonly #clock: Clock;
  #pingedMs = Number.NEGATIVE_INFINITY;
  #isPingOpen = false;

  constructor(dataDir: string, clock: Clock) {
    this.#clock = clock;
    this.#worker = new Worker(workerPath("runtime/store/maintenance-worker.ts"));
    this.#worker.onmessage = (event: MessageEvent<WorkerReply>) => this.#settle(event.data);
    this.#worker.onerror = (event) => this.#fail(event.message);
    void this.#ask({ op: "open", indexPath: `${dataDir}/kura.db` });
  }

  async checkpoint(): Promise<void> {
    await this.#ask({ op: "checkpoint" });
  }

  async checkLarge(path: string, expected: LargeExpectation): Promise<boolean> {
    const { id, sizeBytes, digest } = expected;
    return (await this.#ask({ op: "check", path, expected: { id, sizeBytes, digest } })) === true;
  }

  async findUnreferenced(candidates: readonly number[]): Promise<number[]> {
    return (await this.#ask({ op: "unreferenced", candidates })) as number[];
  }

  async nextIds(after: Uint8Array, limit: number): Promise<Uint8Array<ArrayBuffer>> {
    return (await this.#ask({ op: "ids", after, limit })) as Uint8Array<ArrayBuffer>;
  }

  async readRecords(path: string, range: RecordRange): Promise<RecordPage> {
    return (await this.#ask({ op: "records", path, range })) as RecordPage;
  }

  async removeFile(path: string): Promise<void> {
    await this.#ask({ op: "remove", path });
  }

  async writeHint(path: string, payload: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#ask({ op: "hint", path, payload }, [payload.buffer]);
  }

  async census(): Promise<Census> {
    return (await this.#ask({ op: "census" })) as Census;
  }

  async nameScopes(places: readonly ScopePlace[]): Promise<(ScopeName | null)[]> {
    return (await this.#ask({ op: "scopeNames", places })) as (ScopeName | null)[];
  }

  async makeBallast(path: string, sizeBytes: number): Promise<void> {
    await this.#ask({ op: "ballast", path, sizeBytes });
  }

  async scrub(request: ScrubRequest): Promise<ScrubSlice> {
    return (await this.#ask({ op: "scrub", request })) as ScrubSlice;
  }

  async findRowsAt(places: readonly DamagedPlace[]): Promise<HitRow[]> {
    return (await this.#ask({ op: "rowsAt", places })) as HitRow[];
  }

  silentSinceMs(): number | null {
    if (this.#closed !== null) return null;
    const nowMs = this.#clock.monotonicMs();
    if (!this.#isPingOpen && nowMs - this.#pingedMs >= pingPeriodMs) {
      this.#isPingOpen = true;
      this.#pingedMs = nowMs;
      const end = (): void => {
        this.#isPingOpen = false;
      };
      this.#ask({ op: "ping" }).then(end, end);
    }
    return this.#isPingOpen ? this.#pingedMs : null;
  }

  async releaseIndex(): Promise<void> {
    await this.#ask({ op: "release" });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#closed !== null) return;
    await this.releaseIndex();
    this.#fail("it was closed");
    this.#worker.terminate();
  }

  #ask(job: WorkerJob, given: ArrayBuffer[] = []): Promise<unknown> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    this.#number += 1;
    const number = this.#number;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#worker.postMessage({ number, job }, given);
    });
  }

  #settle(reply: WorkerReply): void {
    const waiting = this.#waiting.get(reply.number);
    this.#waiting.delete(reply.number);
    if (reply.error === undefined) {
      waiting?.resolve(reply.value);
      return;
    }
    const { message, isFull } = reply.error;
    waiting?.reject(new Fault(isFull ? "full" : "unavailable", `Maintenance failed: ${message}`));
  }

  #fail(reason: string): void {
    this.#closed = new Fault("unavailable", `The maintenance Worker is gone: ${reason}`);
    for (const waiting of this.#waiting.values()) waiting.reject(this.#closed);
    this.#waiting.clear();
  }
}

import { Fault } from "../../runtime/base/fault.ts";
import { type Census, CensusTally } from "../../runtime/store/census.ts";
import { bytesKey } from "../../runtime/store/identity.ts";
import type {
  EvictedPlace,
  Index,
  IndexBatch,
  IndexHome,
  IndexIdentity,
  Mark,
  Quarantined,
  Row,
  Tombstone,
} from "../../runtime/store/index.ts";
import type { UploadRows } from "../../runtime/store/multipart-rows.ts";
import type { Manifest } from "../../runtime/store/store.ts";
import type { SimCalls } from "./sim-disk-calls.ts";
import { SimUploadRows, UploadState } from "./sim-uploads.ts";

type Transaction = (state: IndexState) => void;

/** Content of the index: what transactions make of nothing. */
class IndexState {
  readonly rows = new Map<string, Row>();
  readonly tombstones = new Map<string, Tombstone>();
  readonly quarantined = new Map<string, Quarantined>();
  readonly uploads = new UploadState();
  identity: IndexIdentity | null = null;
  mark: Mark | null = null;

  apply(batch: IndexBatch): void {
    for (const row of batch.rows) this.rows.set(bytesKey(row.id), row);
    for (const tombstone of batch.tombstones) {
      const key = bytesKey(tombstone.scopeHash);
      const held = this.tombstones.get(key);
      if (held === undefined || tombstone.version > held.version)
        this.tombstones.set(key, tombstone);
    }
    for (const entry of batch.quarantined) this.quarantined.set(bytesKey(entry.id), entry);
    this.mark = batch.mark;
  }

  copy(): IndexState {
    const copied = new IndexState();
    for (const [key, row] of this.rows) copied.rows.set(key, row);
    for (const [key, tombstone] of this.tombstones) copied.tombstones.set(key, tombstone);
    for (const [key, entry] of this.quarantined) copied.quarantined.set(key, entry);
    this.uploads.copyInto(copied.uploads);
    copied.identity = this.identity;
    copied.mark = this.mark;
    return copied;
  }
}

/** What lies on disk of the index between two lives. */
export type IndexRemains = {
  readonly state: object | null;
  readonly isSuspect: boolean;
  readonly isDamaged: boolean;
};

const walBytesPerTransaction = 4_096;

/**
 * An index in memory: atomic by transaction, and a power cut takes back the last transactions since the last
 * checkpoint, as many as are asked for. Setting aside and marking as suspect are durable at once.
 */
export class SimIndexHome implements IndexHome {
  readonly #calls: SimCalls;
  #flushed: IndexState | null = null;
  #current: IndexState | null = null;
  readonly #unflushed: Transaction[] = [];
  #isSuspect = false;
  #isDamaged = false;
  /** Times that an index was set aside. */
  asideCount = 0;
  /** Whether closing an index makes all of it durable, as SQLite does when nothing stands in the way. */
  flushesOnClose = true;

  constructor(calls: SimCalls, remains: IndexRemains | null = null) {
    this.#calls = calls;
    if (remains === null) return;
    this.#flushed = remains.state as IndexState | null;
    this.#current = this.#flushed?.copy() ?? null;
    this.#isSuspect = remains.isSuspect;
    this.#isDamaged = remains.isDamaged;
  }

  exists(): boolean {
    return this.#current !== null;
  }

  open(): Index {
    const failure = this.#calls.begin("indexOpen", "index");
    if (failure !== null) throw indexFault("open");
    if (this.#isSuspect || this.#isDamaged) throw damaged();
    this.#current ??= new IndexState();
    return new SimIndex(this, this.#calls);
  }

  reopen(): Index {
    if (this.#current === null) throw damaged();
    return this.open();
  }

  setAside(): void {
    this.#current = null;
    this.#flushed = null;
    this.#unflushed.length = 0;
    this.#isSuspect = false;
    this.#isDamaged = false;
    this.asideCount += 1;
  }

  markSuspect(_reason: string): void {
    this.#isSuspect = true;
  }

  /** From here on every statement finds the index to be corrupt. */
  damage(): void {
    this.#isDamaged = true;
  }

  /** Transactions that a power cut may take back. */
  get unflushedCount(): number {
    return this.#unflushed.length;
  }

  /** A whole checkpoint: nothing of what is in the index now can be lost any more. */
  flush(): void {
    for (const transaction of this.#unflushed.splice(0)) {
      this.#flushed ??= new IndexState();
      transaction(this.#flushed);
    }
  }

  /** What a power cut leaves: the last `lostCount` unflushed transactions are gone. */
  crash(lostCount: number): IndexRemains {
    let state = this.#flushed?.copy() ?? null;
    for (const transaction of this.#unflushed.slice(0, this.#unflushed.length - lostCount)) {
      state ??= new IndexState();
      transaction(state);
    }
    return { state, isSuspect: this.#isSuspect, isDamaged: this.#isDamaged };
  }

  /** What a kill leaves: everything, with the same doubt about what is durable. */
  kill(calls: SimCalls): SimIndexHome {
    const next = new SimIndexHome(calls);
    next.#flushed = this.#flushed;
    next.#current = this.#current;
    next.#unflushed.push(...this.#unflushed);
    next.#isSuspect = this.#isSuspect;
    next.#isDamaged = this.#isDamaged;
    return next;
  }

  rows(): Row[] {
    return [...(this.#current?.rows.values() ?? [])];
  }

  /** Ids of all rows above one, in order. */
  idsAfter(after: Uint8Array): Uint8Array[] {
    return [...(this.#current?.rows.values() ?? [])]
      .map((row) => row.id)
      .sort((left, right) => Buffer.compare(left, right))
      .filter((id) => Buffer.compare(id, after) > 0);
  }

  census(): Census {
    const { rows, tombstones } = this.#current ?? new IndexState();
    const cleaned = [...tombstones].map(([scope, { version }]) => [scope, version] as const);
    const tally = new CensusTally(new Map(cleaned));
    for (const row of rows.values()) tally.add(row);
    return tally.finish();
  }

  /** Numbers of files that some row names. */
  namedFiles(): Set<number> {
    return new Set([...(this.#current?.rows.values() ?? [])].map((row) => row.file));
  }

  /** @internal for SimIndex. */
  state(): IndexState {
    if (this.#isDamaged) throw damaged();
    if (this.#current === null) throw indexFault("read");
    return this.#current;
  }

  /** @internal for SimIndex. */
  commit(transaction: Transaction): void {
    transaction(this.state());
    this.#unflushed.push(transaction);
  }

  /** @internal for SimIndex. */
  get unflushedBytes(): number {
    return this.#unflushed.length * walBytesPerTransaction;
  }
}

class SimIndex implements Index {
  readonly uploads: UploadRows;
  readonly #home: SimIndexHome;
  readonly #calls: SimCalls;
  #isClosed = false;

  constructor(home: SimIndexHome, calls: SimCalls) {
    this.#home = home;
    this.#calls = calls;
    this.uploads = new SimUploadRows(
      () => this.#state().uploads,
      (change) => this.#commit((state) => change(state.uploads)),
    );
  }

  identity(): IndexIdentity | null {
    return this.#state().identity;
  }

  mark(): Mark | null {
    return this.#state().mark;
  }

  find(id: Uint8Array): Manifest | null {
    return this.#state().rows.get(bytesKey(id)) ?? null;
  }

  feed(afterSeq: number, limit: number): Row[] {
    return [...this.#state().rows.values()]
      .filter((row) => row.seq > afterSeq)
      .sort((a, b) => a.seq - b.seq)
      .slice(0, limit);
  }

  tombstones(): Tombstone[] {
    return [...this.#state().tombstones.values()];
  }

  quarantined(): Quarantined[] {
    return [...this.#state().quarantined.values()];
  }

  adopt(identity: IndexIdentity, mark: Mark): void {
    this.#commit((state) => {
      state.identity = identity;
      state.mark = mark;
    });
  }

  apply(batch: IndexBatch): void {
    const kept: IndexBatch = {
      ...batch,
      rows: batch.rows.map(columnsOf),
      quarantined: [...batch.quarantined],
      tombstones: [...batch.tombstones],
    };
    this.#commit((state) => state.apply(kept));
  }

  evict(file: number, places: readonly EvictedPlace[]): boolean[] {
    const { rows } = this.#state();
    const evicted = places.map(({ id, offsetBytes }) => {
      const row = rows.get(bytesKey(id));
      return row?.file === file && row.offsetBytes === offsetBytes;
    });
    const keys = places.filter((_, i) => evicted[i]).map(({ id }) => bytesKey(id));
    this.#commit((state) => {
      for (const key of keys) state.rows.delete(key);
    });
    return evicted;
  }

  walBytes(): number {
    return this.#home.unflushedBytes;
  }

  countRows(): number {
    return this.#state().rows.size;
  }

  /** A clean end is a checkpoint, unless the machine is off already. */
  close(): void {
    if (this.#isClosed || this.#calls.isOff) return;
    this.#isClosed = true;
    if (this.#home.flushesOnClose) this.#home.flush();
  }

  drop(): void {
    this.#isClosed = true;
  }

  #commit(transaction: Transaction): void {
    this.#state();
    const failure = this.#calls.begin("indexApply", "index");
    if (failure === null || failure.effect > 0) this.#home.commit(transaction);
    if (failure !== null) throw indexFault("commit to");
  }

  #state(): IndexState {
    if (this.#isClosed) throw indexFault("use the closed");
    return this.#home.state();
  }
}

/** A row as a table keeps it: its columns, with bytes of its own. */
function columnsOf(row: Row): Row {
  return {
    id: Uint8Array.from(row.id),
    file: row.file,
    offsetBytes: row.offsetBytes,
    metadataBytes: row.metadataBytes,
    sizeBytes: row.sizeBytes,
    seq: row.seq,
    version: row.version,
    origin: row.origin,
    digest: row.digest,
    kind: row.kind,
    flags: row.flags,
    producer: row.producer,
    scopeHash: Uint8Array.from(row.scopeHash),
    writerHash: Uint8Array.from(row.writerHash),
  };
}

function indexFault(what: string): Fault {
  return new Fault("unavailable", `Cannot ${what} index: the simulated disk failed`);
}

function damaged(): Fault {
  return new Fault("damaged", "The simulated index is damaged");
}

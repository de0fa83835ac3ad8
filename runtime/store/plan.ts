import { assert } from "../base/assert.ts";
import { sha256 } from "../base/digest.ts";
import { type CatalogView, findRow, isLive, peekRow } from "./catalog-view.ts";
import type { CommitChange, CopyChange } from "./copy-change.ts";
import { bodyDigest, type GroupBuffer } from "./group.ts";
import {
  type ArtifactName,
  bytesKey,
  idPrefix,
  producers,
  type Scope,
  sameId,
} from "./identity.ts";
import type { Row, Tombstone } from "./index.ts";
import type { Metadata } from "./metadata.ts";
import { type RecordHeader, recordTypes, rowDigest } from "./record.ts";
import {
  kinds,
  type Manifest,
  manifestFlags,
  type Outcome,
  type PutChange,
  type StagedBody,
} from "./store.ts";
import { versionOfWall } from "./version.ts";

/** Counters that a group moves on. Burnt ones are never given out again. */
export type Stamps = { seq: number; version: number };

const noBytes = new Uint8Array(0);
const noWriter = new Uint8Array(8);

export type PlanOptions = {
  readonly view: CatalogView;
  readonly buffer: GroupBuffer;
  readonly stamps: Stamps;
  readonly origin: number;
  readonly wallMs: number;
  /** File that the group will be appended to. */
  readonly file: number;
};

/**
 * Decides the changes of one group in order, each seeing the ones before it, and encodes what is to be written.
 * Nothing is visible to anybody else until the group is durable.
 */
export class GroupPlan {
  readonly #options: PlanOptions;
  /** By prefix of the id; of two ids with one prefix the later. */
  readonly #rowsByPrefix = new Map<number, Row>();
  readonly #tombstonesByScope = new Map<string, number>();
  readonly rows: Row[] = [];
  readonly tombstones: Tombstone[] = [];
  /** Rows that others take the place of. */
  readonly replaced: Manifest[] = [];
  /** Of `rows`, those that are not new. */
  copiedCount = 0;
  /** Scopes of `tombstones`, in the same order. */
  readonly cleanedScopes: Scope[] = [];

  constructor(options: PlanOptions) {
    this.#options = options;
  }

  /** Nothing is to be written. */
  get isEmpty(): boolean {
    return this.#options.buffer.lengthBytes === 0;
  }

  decide(change: CommitChange): Outcome {
    switch (change.op) {
      case "copy":
        return this.#copy(change);
      case "put":
        return this.#put(change);
      case "delete":
        return this.#delete(change.name, kinds[change.kind]);
      case "clean":
        return this.#clean(change.scope);
    }
  }

  /** The record again, and for a body in the log the row with its new place. */
  #copy(change: CopyChange): Outcome {
    const { header, metadata, body } = change;
    const row = this.#rowToCopy(change);
    if (row === null && header.type !== recordTypes.tombstone) return { at: "absent" };
    if (header.type === recordTypes.tombstone && !this.#isCurrent(header)) return { at: "absent" };
    const encoded = this.#options.buffer.add(header, metadata, body);
    if (row === null) return { at: "cleaned", version: header.version };
    if (header.type === recordTypes.reference) return { at: "stored", manifest: row };
    const moved: Row = {
      ...row,
      file: this.#options.file,
      offsetBytes: encoded.offsetBytes,
      metadataBytes: encoded.metadataBytes,
      producer: header.producer,
      scopeHash: change.scopeHash,
      writerHash: change.writerHash,
    };
    this.#addRow(moved);
    this.copiedCount += 1;
    return { at: "stored", manifest: moved };
  }

  /** The row that still means the record; null when another one counts by now, or none. */
  #rowToCopy({ header, fromFile, placeFile }: CopyChange): Manifest | null {
    const { view } = this.#options;
    if (header.type === recordTypes.tombstone) return null;
    const row = this.#planned(header.id) ?? peekRow(view, header.id);
    if (row === null || row.version !== header.version) return null;
    if (view.quarantine.holds(row.id, row.version)) return null;
    if (header.type === recordTypes.reference) return row.file === placeFile ? row : null;
    return row.file === fromFile && row.offsetBytes === header.offsetBytes ? row : null;
  }

  #isCurrent(header: RecordHeader): boolean {
    const key = bytesKey(header.id.subarray(0, 16));
    return this.#options.view.tombstones.versionOf(key) === header.version;
  }

  #put(change: PutChange): Outcome {
    const existing = this.#find(change.name);
    if (existing !== null && change.rule === "firstWins") {
      // Before the group is durable: it must not be evicted between this and the answer.
      this.#options.view.leases.vouch(existing);
      return { at: "exists", manifest: existing };
    }
    this.#noteReplaced(change.name.id);
    const row = this.#write(change);
    return { at: "stored", manifest: row };
  }

  #delete(name: ArtifactName, kind: number): Outcome {
    if (this.#find(name) === null) return { at: "absent" };
    this.#noteReplaced(name.id);
    const stamps = this.#stamp();
    const facts = {
      ...stamps,
      type: recordTypes.put,
      flags: manifestFlags.deleted,
      kind,
      producer: producers[name.producer],
      bodyBytes: 0,
      id: name.id,
      digest: bodyDigest(noBytes),
    };
    const metadata = describe(name, null);
    const encoded = this.#options.buffer.add(facts, metadata, noBytes);
    this.#addRow({
      ...facts,
      file: this.#options.file,
      offsetBytes: encoded.offsetBytes,
      metadataBytes: encoded.metadataBytes,
      sizeBytes: 0,
      digest: rowDigest(facts.digest),
      scopeHash: name.scope.hash,
      writerHash: noWriter,
    });
    return { at: "deleted", version: stamps.version };
  }

  #clean(scope: Scope): Outcome {
    const stamps = this.#stamp();
    const id = new Uint8Array(32);
    id.set(scope.hash);
    const { tenant, namespace } = scope;
    this.#options.buffer.add(
      {
        ...stamps,
        type: recordTypes.tombstone,
        flags: 0,
        kind: 0,
        producer: 0,
        bodyBytes: 0,
        id,
        digest: 0n,
      },
      { tenant, namespace, key: "", sha256: null, writer: "", attributes: {}, place: null },
      noBytes,
    );
    this.tombstones.push({ ...stamps, scopeHash: scope.hash });
    this.cleanedScopes.push(scope);
    this.#tombstonesByScope.set(scope.hashKey, stamps.version);
    return { at: "cleaned", version: stamps.version };
  }

  /** Field by field, as in `GroupBuffer.add`. */
  #write(change: PutChange): Row {
    const { name, body } = change;
    const staged = body instanceof Uint8Array ? null : body;
    const bytes = staged === null ? (body as Uint8Array) : noBytes;
    const sizeBytes = staged === null ? bytes.length : staged.sizeBytes;
    const digest = staged === null ? bodyDigest(bytes) : staged.digest;
    const kind = kinds[change.kind];
    const producer = producers[name.producer];
    const flags = flagsOf(change);
    const { seq, version, origin } = this.#stamp();
    const type = staged === null ? recordTypes.put : recordTypes.reference;
    const encoded = this.#options.buffer.add(
      {
        type,
        flags,
        kind,
        producer,
        bodyBytes: sizeBytes,
        id: name.id,
        seq,
        version,
        origin,
        digest,
      },
      describe(name, change),
      bytes,
    );
    const row: Row = {
      id: name.id,
      file: staged === null ? this.#options.file : staged.file,
      offsetBytes: staged === null ? encoded.offsetBytes : 0,
      metadataBytes: staged === null ? encoded.metadataBytes : 0,
      sizeBytes,
      seq,
      version,
      origin,
      digest: rowDigest(digest),
      kind,
      flags,
      producer,
      scopeHash: name.scope.hash,
      writerHash: hashWriter(change.writer),
    };
    this.#addRow(row);
    return row;
  }

  /** What lies at the place of the row before is of no use any more, whatever became of it. */
  #noteReplaced(id: Uint8Array): void {
    const row = this.#planned(id) ?? peekRow(this.#options.view, id);
    if (row !== null) this.replaced.push(row);
  }

  #addRow(row: Row): void {
    this.rows.push(row);
    this.#rowsByPrefix.set(idPrefix(row.id), row);
  }

  /** What a change of this group finds under a name: earlier changes of the group first. */
  #find(name: ArtifactName): Manifest | null {
    const { view } = this.#options;
    const planned = this.#planned(name.id);
    const row = planned ?? findRow(view, name.id);
    if (row === null) return null;
    const cleanedAt = this.#tombstonesByScope.get(name.scope.hashKey);
    if (cleanedAt !== undefined && row.version <= cleanedAt) return null;
    if (planned !== undefined)
      return (planned.flags & manifestFlags.deleted) === 0 ? planned : null;
    return isLive(view, row, name) ? row : null;
  }

  /** The last row of this group with an id. */
  #planned(id: Uint8Array): Row | undefined {
    const row = this.#rowsByPrefix.get(idPrefix(id));
    if (row === undefined || sameId(row.id, id)) return row;
    return this.rows.findLast((other) => sameId(other.id, id));
  }

  /** The next seq and a version above everything this store has seen, whatever the clock says. */
  #stamp(): { seq: number; version: number; origin: number } {
    const { stamps, origin, wallMs } = this.#options;
    stamps.seq += 1;
    stamps.version = Math.max(stamps.version + 1, versionOfWall(wallMs));
    assert(Number.isSafeInteger(stamps.version), "a version is a safe integer");
    return { seq: stamps.seq, version: stamps.version, origin };
  }
}

function flagsOf(change: PutChange): number {
  let flags = 0;
  for (const _ in change.attributes) {
    flags |= manifestFlags.hasAttributes;
    break;
  }
  if (!(change.body instanceof Uint8Array)) flags |= manifestFlags.large;
  if (change.contentType === "application/json") flags |= manifestFlags.json;
  return flags;
}

function describe(name: ArtifactName, change: PutChange | null): Metadata {
  const body = change?.body;
  return {
    tenant: name.scope.tenant,
    namespace: name.scope.namespace,
    key: name.key,
    sha256: change?.sha256 ?? null,
    writer: change?.writer ?? "",
    attributes: change?.attributes ?? {},
    place: body === undefined || body instanceof Uint8Array ? null : placeOf(body),
  };
}

function placeOf(staged: StagedBody) {
  return { file: staged.file, offsetBytes: 0, metadataBytes: 0 };
}

function hashWriter(writer: string): Uint8Array {
  return writer === "" ? noWriter : sha256(writer).slice(0, 8);
}

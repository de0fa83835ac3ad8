import type { Contents } from "./contents.ts";
import type { ArtifactName, Scope } from "./identity.ts";
import type { Uploads } from "./multipart.ts";
import type { ScrubReport } from "./scrub-figures.ts";
import type { MissReason, NextToGo, SpaceFigures } from "./space-figures.ts";

/** What kind of artifact a record holds; the numbers are on disk and never change meaning. */
export const kinds = {
  blob: 1,
  keyValue: 2,
  actionResult: 3,
  gradle: 4,
  nx: 5,
  metro: 6,
  module: 7,
  ccache: 8,
  turborepo: 9,
} as const;
export type Kind = keyof typeof kinds;

/**
 * Where an artifact lies and what it is: one row of the index without its names.
 * Sizes and offsets are bytes; seq, version and origin are whole numbers up to 2^53-1.
 */
export type Manifest = {
  readonly id: Uint8Array;
  /** Number of the file that holds the body behind a header with this id. */
  readonly file: number;
  /** Place of that header in the file. */
  readonly offsetBytes: number;
  /** Length of the metadata between header and body; 0 for a large file, whose body starts after its first page. */
  readonly metadataBytes: number;
  readonly sizeBytes: number;
  readonly seq: number;
  /** Hybrid clock stamp: higher is newer, on this node and over the mesh. */
  readonly version: number;
  readonly origin: number;
  /** Low 52 bits of the integrity digest. */
  readonly digest: number;
  readonly kind: number;
  readonly flags: number;
};

/** Bits of `Manifest.flags`; on disk. */
export const manifestFlags = {
  deleted: 1,
  /** The record carries attributes to be returned with the body: ask `attributes`. */
  hasAttributes: 2,
  /** The body lies in a file of its own. */
  large: 4,
  /** Version and origin were raised without a new body, so the header at the row's place has older ones. */
  rowOnlyUpdate: 8,
  /** The content type is application/json rather than application/octet-stream. */
  json: 16,
} as const;

/** Names are lower-case; all values together at most 1 KiB. Returned as they were given. */
export type Attributes = Readonly<Record<string, string>>;

/** A body that was streamed to a file of its own, synced, and waits to be committed or discarded. */
export type StagedBody = {
  readonly file: number;
  readonly sizeBytes: number;
  readonly digest: bigint;
};

/** What is kept beside a body. */
export type BodyFacts = {
  readonly kind: Kind;
  /** SHA-256 that the client declared or the protocol names and that was verified; null when neither. */
  readonly sha256: Uint8Array | null;
  readonly attributes: Attributes;
  /** Who wrote it, at most 256 bytes of UTF-8; empty while no identity is known. */
  readonly writer: string;
};

export type PutChange = BodyFacts & {
  readonly op: "put";
  readonly name: ArtifactName;
  /** `firstWins`: what is there stays and the answer is "exists". `lastWins`: what is there is replaced. */
  readonly rule: "firstWins" | "lastWins";
  readonly contentType: "application/octet-stream" | "application/json";
  readonly body: Uint8Array | StagedBody;
};

/** One change, as a message: nothing in it points back at the request that made it. */
export type Change =
  | PutChange
  | { readonly op: "delete"; readonly name: ArtifactName; readonly kind: Kind }
  | { readonly op: "clean"; readonly scope: Scope };

export type Outcome =
  | { readonly at: "stored"; readonly manifest: Manifest }
  | { readonly at: "exists"; readonly manifest: Manifest }
  | { readonly at: "deleted"; readonly version: number }
  /** A delete of what was not there; nothing was written. */
  | { readonly at: "absent" }
  | { readonly at: "cleaned"; readonly version: number };

/** A body on its way out. Ends are exclusive. */
export type Body =
  /** The wanted bytes, checked; nobody writes to them. */
  | { readonly at: "bytes"; readonly bytes: Uint8Array }
  /** A checked stretch of a file, to be sent by the kernel. */
  | {
      readonly at: "slice";
      readonly path: string;
      readonly startBytes: number;
      readonly endBytes: number;
    }
  /** The body must be checked first: await `done`, then open again. */
  | { readonly at: "check"; readonly done: Promise<void> }
  /** The bytes are gone or damaged: a miss. The row is quarantined, an event was sent. */
  | { readonly at: "damaged" };

/** Streams one body into a file of its own. After any fault, call `discard`. */
export interface Stage {
  /** Bytes taken so far. */
  readonly sizeBytes: number;
  /** Told when `write` begins to wait for room, and when that has ended. */
  onRoomWait: (isWaiting: boolean) => void;
  write(chunk: Uint8Array): Promise<void>;
  /** Nothing more comes, though it may be a while until `finish` or `readBack`: room that was meant for more is let go. */
  endIntake(): void;
  /** Ends the body and makes file and folder durable. Name and facts go into the first page; commit with the same. */
  finish(name: ArtifactName, facts: BodyFacts): Promise<StagedBody>;
  /** Reads back a body that turned out small (at most 1 MiB), so that it can be committed from memory. */
  readBack(): Uint8Array;
  /** Closes the file until something is written to it again: nothing will be for a while. */
  park(): void;
  /** Removes the file. */
  discard(): void;
}

export type StoreState =
  | { readonly at: "recovering"; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly at: "serving" }
  /** `isFull`: for want of room on the disk alone. */
  | { readonly at: "readOnly"; readonly reason: string; readonly isFull: boolean }
  | { readonly at: "closed" };

/** The store waits for somebody who does not answer, for so long already. */
export type Stall = {
  readonly by: "log" | "maintenance";
  readonly forMs: number;
  /** One sentence without a full stop. */
  readonly reason: string;
};

/** What is not as it should be though the store is open; of the moment. */
export type StoreCondition = {
  readonly stall: Stall | null;
  /** Stalls since the start of the process. */
  readonly stallCount: number;
  /** The file system has no room for a put, whatever the capacity says. */
  readonly isDiskFull: boolean;
  /** The index is not to be believed in what it does not say; the next start makes it anew. */
  readonly isIndexSuspect: boolean;
  /** The file that would help out of a full disk is missing. */
  readonly isWithoutBallast: boolean;
};

/** Figures for status pages and metrics. Counts since the start of the process, except where said. */
export type StoreUsage = {
  readonly usedBytes: number;
  readonly capacityBytes: number;
  readonly freeBytes: number;
  readonly segmentCount: number;
  readonly largeFileCount: number;
  readonly artifactCommits: number;
  readonly groups: number;
  readonly head: number;
  readonly tombstoneCount: number;
  readonly damagedBodies: number;
  readonly walBytes: number;
  /** Manifests in the cache before the index, and how many fit. */
  readonly manifestCacheCount: number;
  readonly manifestCacheCountMax: number;
  /** Bytes of bodies kept in memory. */
  readonly bodyCacheBytes: number;
  readonly space: SpaceFigures;
};

/** One file of the log. */
export type SegmentFigures = {
  readonly file: number;
  readonly state: "active" | "sealed";
  readonly sizeBytes: number;
};

/** The reading of everything that is stored, in search of damage. */
export interface ScrubControl {
  report(): ScrubReport;
  /** Starts a cycle from the beginning and at full speed, in the place of one under way; also when it is switched off. */
  startNow(): void;
}

/**
 * The store of one node. `find` and `open` are synchronous and local; `commit` is asynchronous and message-shaped.
 * Until recovery ends every method that needs the index throws Fault "unavailable".
 */
export interface Store {
  /** Artifacts that arrive in parts. */
  readonly uploads: Uploads;
  /** Who fills the store. */
  readonly contents: Contents;
  readonly scrub: ScrubControl;
  state(): StoreState;
  /** The live artifact under this name, or null: absent, deleted, cleaned or quarantined. */
  find(name: ArtifactName): Manifest | null;
  /** A client was told that this artifact is here: it stays for 15 minutes, but for what `leasesShortened` counts. */
  vouch(manifest: Manifest): void;
  /** Why `find` has nothing under this name; null when it has. */
  whyMissing(name: ArtifactName): MissReason | null;
  /** Files in the order in which they would go, at most `limit`. */
  nextToGo(limit: number): NextToGo[];
  /** The body from `startBytes` (inclusive) to `endBytes` (exclusive); both within the size. */
  open(manifest: Manifest, startBytes: number, endBytes: number): Body;
  /** Attributes that were given with the put; empty when none, null when they are damaged: the artifact is a miss. */
  attributes(manifest: Manifest): Attributes | null;
  /**
   * A new stage. Throws Fault "full" when `expectedBytes` (0 when unknown) can never fit, or the disk is full; while room
   * is made its first write waits.
   */
  stage(expectedBytes: number): Stage;
  /**
   * Resolves when the change is durable and visible; a put waits while room is made for it. Rejects with Fault "full" (nothing stored), "unavailable"
   * (nothing stored) or "outcomeUnknown" (cut the connection without a status).
   * A staged body belongs to the store from here on, whatever the outcome.
   */
  commit(change: Change): Promise<Outcome>;
  usage(): StoreUsage;
  condition(): StoreCondition;
  /** The files of the log, oldest first. */
  segments(): SegmentFigures[];
  /** Ends the waiting commits and closes all files. */
  close(): Promise<void>;
}

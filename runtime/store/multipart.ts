import { Fault } from "../base/fault.ts";
import { day, GiB, MiB, minute } from "../base/units.ts";
import type { ArtifactName } from "./identity.ts";

/** Bounds of uploads in parts. */
export type UploadLimits = {
  /** Uploads that may be open at one time. */
  readonly activeMax: number;
  /** An upload lives this long from its start, however often parts arrive. */
  readonly ttlMs: number;
  /** Pause between two looks for uploads whose time is over. */
  readonly janitorMs: number;
  readonly partBytesMax: number;
  /** Sum of the parts of one upload. */
  readonly totalBytesMax: number;
  /** Sum of all part files. */
  readonly storedBytesMax: number;
};

/** @source surfaces.md 4.4 and storage-and-mesh.md 7.13. */
export const usualUploadLimits: UploadLimits = {
  activeMax: 128,
  ttlMs: day,
  janitorMs: 10 * minute,
  partBytesMax: 10 * MiB,
  totalBytesMax: 2 * GiB,
  storedBytesMax: 8 * GiB,
};

/** A part on its way in. It counts once `finish` has returned; after any fault, call `discard`. */
export interface PartStage {
  /** Told when the first `write` begins to wait for room, and when that has ended. */
  onRoomWait: (isWaiting: boolean) => void;
  /** The first one waits while room is made. @throws Fault "full" when none was made in time. */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Makes the bytes the part of this number, in place of the one that was there.
   * @throws Fault "missing" when the upload has ended meanwhile, "unprocessable" when it would grow over its limit,
   * "unavailable" when the store cannot write. The earlier part is as it was then.
   */
  finish(): Promise<void>;
  discard(): void;
}

/** The parts of an upload in order, to be read once. */
export interface Assembly {
  readonly sizeBytes: number;
  /**
   * Gives all bytes in chunks of up to 1 MiB, each valid until its `take` has settled.
   * @throws Fault "badRequest" when a part is not on disk as it was taken: it is forgotten and may be sent again.
   */
  read(take: (chunk: Uint8Array) => Promise<void> | void): Promise<void>;
}

/** Whether a completed upload became the artifact, or somebody else's was there first. */
export type CompletionOutcome = "stored" | "exists";

export type UploadFigures = { readonly activeCount: number; readonly partBytes: number };

/**
 * Artifacts that arrive in parts, over any time and across restarts of the process. What is acknowledged survives a
 * killed process. A power cut may take parts back, since they are not synced: completing compares every part with
 * the size and the checksum in its row, and tells of what is missing.
 *
 * The log knows nothing of uploads. When the index has to be made anew they are gone: their files are removed, and
 * clients start again.
 */
export interface Uploads {
  /** A new upload. @throws Fault "overloaded" when `activeMax` are open, "full" when the disk is. */
  start(name: ArtifactName): string;
  /** What an upload will become, or null when there is none: it never was, is completed, or its time is over. */
  find(id: string): ArtifactName | null;
  /**
   * Room for one part. Parts of one upload may be open side by side, also under one number: the last to finish stays.
   * `sizeBytes` is null when it is not known.
   * @throws Fault "missing", "overloaded" at `storedBytesMax`, "full", "unprocessable" over `totalBytesMax`.
   */
  openPart(id: string, part: { number: number; sizeBytes: number | null }): PartStage;
  /**
   * Ends an upload: `store` makes its parts an artifact, and is not called when there is one already. Parts that
   * finish meanwhile wait, and find the upload gone.
   * @throws Fault "missing"; "badRequest" when the parts are not exactly those of `numbers`, in ascending order; what
   * `store` throws. The upload is as it was then.
   */
  complete(
    id: string,
    numbers: readonly number[],
    store: (assembly: Assembly) => Promise<CompletionOutcome>,
  ): Promise<CompletionOutcome>;
  figures(): UploadFigures;
}

/** What whoever names an upload that is not there is told. */
export function uploadMissing(): Fault {
  return new Fault(
    "missing",
    "There is no such upload: it was never started here, is completed, or its time is over; start again",
  );
}

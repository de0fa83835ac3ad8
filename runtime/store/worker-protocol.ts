import type { LargeExpectation } from "./maintenance.ts";
import type { RecordRange } from "./record-page.ts";
import type { ScopePlace } from "./scope-names.ts";
import type { DamagedPlace } from "./scrub-place.ts";
import type { ScrubRequest } from "./scrub-slice.ts";

/** Messages between the serving loop and the maintenance Worker. */
export type WorkerJob =
  | { readonly op: "open"; readonly indexPath: string }
  | { readonly op: "release" }
  /** Answered between two steps of whatever else is done. */
  | { readonly op: "ping" }
  | { readonly op: "checkpoint" }
  | { readonly op: "check"; readonly path: string; readonly expected: LargeExpectation }
  | { readonly op: "unreferenced"; readonly candidates: readonly number[] }
  | { readonly op: "ids"; readonly after: Uint8Array; readonly limit: number }
  | { readonly op: "records"; readonly path: string; readonly range: RecordRange }
  | { readonly op: "remove"; readonly path: string }
  | { readonly op: "hint"; readonly path: string; readonly payload: Uint8Array }
  | { readonly op: "census" }
  | { readonly op: "scopeNames"; readonly places: readonly ScopePlace[] }
  | { readonly op: "ballast"; readonly path: string; readonly sizeBytes: number }
  | { readonly op: "scrub"; readonly request: ScrubRequest }
  | { readonly op: "rowsAt"; readonly places: readonly DamagedPlace[] };

export type WorkerRequest = { readonly number: number; readonly job: WorkerJob };

export type WorkerReply = {
  readonly number: number;
  readonly value?: unknown;
  readonly error?: { readonly message: string; readonly isFull: boolean };
};

import type { LargeExpectation } from "./maintenance.ts";

/** Messages between the serving loop and the maintenance Worker. */
export type WorkerJob =
  | { readonly op: "open"; readonly indexPath: string }
  | { readonly op: "release" }
  | { readonly op: "checkpoint" }
  | { readonly op: "check"; readonly path: string; readonly expected: LargeExpectation }
  | { readonly op: "unreferenced"; readonly candidates: readonly number[] }
  | { readonly op: "ids"; readonly after: Uint8Array; readonly limit: number }
  | { readonly op: "ballast"; readonly path: string; readonly sizeBytes: number };

export type WorkerRequest = { readonly number: number; readonly job: WorkerJob };

export type WorkerReply = {
  readonly number: number;
  readonly value?: unknown;
  readonly error?: { readonly message: string; readonly isFull: boolean };
};

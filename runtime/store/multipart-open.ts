import {
  type ArtifactName,
  makeScope,
  nameArtifact,
  type Producer,
  producers,
} from "./identity.ts";
import type { UploadTotals } from "./multipart-rows.ts";

/** An upload that takes parts. */
export type OpenUpload = {
  readonly id: string;
  readonly idBytes: Uint8Array;
  readonly name: ArtifactName;
  /** By the monotonic clock: later jumps of the wall clock neither end an upload nor keep it. */
  readonly startedMs: number;
  /** Sums over the parts that rows name. */
  sizeBytes: number;
  partCount: number;
  /** Its time cannot run out now. */
  isCompleting: boolean;
  /** Settles when whoever holds the upload lets go of it. */
  tail: Promise<void>;
};

export function toUpload(row: UploadTotals, startedMs: number): OpenUpload {
  const scope = makeScope(row.tenant, row.namespace);
  return {
    id: Buffer.from(row.id).toString("hex"),
    idBytes: row.id,
    name: nameArtifact(producerOf(row.producer), scope, row.key),
    startedMs,
    sizeBytes: row.partBytes,
    partCount: row.partCount,
    isCompleting: false,
    tail: Promise.resolve(),
  };
}

function producerOf(number: number): Producer {
  const names = Object.keys(producers) as Producer[];
  return names.find((name) => producers[name] === number) ?? "module";
}

/** Who lies at a place, as its metadata says. */
export type PlaceName = {
  /** Number of the producer. */
  readonly producer: number;
  readonly tenant: string;
  readonly namespace: string;
  readonly key: string;
};

/** A stretch of a data file that is not what was written there. Ends are exclusive; a large file is one stretch. */
export type DamagedPlace = {
  readonly file: number;
  readonly isLarge: boolean;
  readonly startBytes: number;
  readonly endBytes: number;
  /** It reaches to the end of a file of which nobody states where it ends: it may be a write that never ended. */
  readonly isTail: boolean;
  /** Id of the one record that begins there; null when its header cannot be read: then any row may point into it. */
  readonly id: Uint8Array | null;
  /** Null when it cannot be read. */
  readonly name: PlaceName | null;
};

/** A row of the index that points into a damaged place. */
export type HitRow = {
  /** Number of the place in the list that was asked for. */
  readonly place: number;
  readonly id: Uint8Array;
  readonly file: number;
  readonly offsetBytes: number;
  readonly scopeHash: Uint8Array;
};

type RowPlace = Pick<HitRow, "id" | "file" | "offsetBytes">;

/** Whether a row points into a place. */
export function isRowAt(place: DamagedPlace, row: RowPlace): boolean {
  if (row.file !== place.file) return false;
  if (place.id !== null && Buffer.compare(row.id, place.id) !== 0) return false;
  return row.offsetBytes >= place.startBytes && row.offsetBytes < place.endBytes;
}

/** Name and value. */
export type HeaderField = readonly [name: string, value: string];

/** @source RFC 7541, appendix A; the first one has index 1. */
export const staticTable: readonly HeaderField[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
];

/** What each entry costs beside its texts. @source RFC 7541, section 4.1. */
const entryBytes = 32;

/** The entries that the other side has added, the newest first, within a size that it chooses up to ours. */
export class DynamicTable {
  readonly #bytesLimit: number;
  #bytesMax: number;
  #bytes = 0;
  /** The oldest first, so that adding is cheap; those before `#first` are gone. */
  #entries: HeaderField[] = [];
  #first = 0;
  /** Changes with every entry that comes or goes. */
  generation = 0;

  constructor(bytesLimit: number) {
    this.#bytesLimit = bytesLimit;
    this.#bytesMax = bytesLimit;
  }

  get count(): number {
    return this.#entries.length - this.#first;
  }

  /** The entry at a place from 0, the newest, on; undefined behind the oldest. */
  at(place: number): HeaderField | undefined {
    const index = this.#entries.length - 1 - place;
    return index < this.#first ? undefined : this.#entries[index];
  }

  /** One that is larger than the table empties it and is not kept. */
  add(field: HeaderField): void {
    this.generation += 1;
    this.#entries.push(field);
    this.#bytes += sizeOf(field);
    this.#shrink();
  }

  /** False when it is more than we have allowed. */
  resize(bytesMax: number): boolean {
    if (bytesMax > this.#bytesLimit) return false;
    this.generation += 1;
    this.#bytesMax = bytesMax;
    this.#shrink();
    return true;
  }

  #shrink(): void {
    while (this.#bytes > this.#bytesMax) {
      this.#bytes -= sizeOf(this.#entries[this.#first]!);
      this.#first += 1;
    }
    if (this.#first > this.#entries.length / 2) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }
}

function sizeOf([name, value]: HeaderField): number {
  return entryBytes + name.length + value.length;
}

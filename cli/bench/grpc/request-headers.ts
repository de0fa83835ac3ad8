import { headerTableBytes } from "../../../runtime/wire/http2/hpack-decoder.ts";
import { encodeHeaders } from "../../../runtime/wire/http2/hpack-encoder.ts";
import { type HeaderField, staticTable } from "../../../runtime/wire/http2/hpack-table.ts";

/** What each entry of the table costs beside its texts. @source RFC 7541, section 4.1. */
const entryBytes = 32;
/** Indexes up to here take one byte, and no connection tells more fields than that. */
const oneByteIndexMax = 126;

/**
 * Encodes the headers of requests as the clients of servers do: a field that the server has not heard is told once and
 * costs one byte from then on. Blocks must be sent in the order in which they were made.
 */
export class RequestHeaders {
  readonly #fields: readonly HeaderField[];
  /** Which of all that were told a field is, from 0. */
  readonly #told = new Map<string, number>();
  #tableBytes = 0;
  #tableBytesMax = headerTableBytes;
  #mustResize = false;
  /** The last block and its path, as long as nothing was added since. */
  #last: { readonly path: string; readonly block: Uint8Array } | null = null;

  /** `fields` go behind those that say what is called. */
  constructor(authority: string, fields: readonly HeaderField[]) {
    this.#fields = [
      [":authority", authority],
      ["content-type", "application/grpc"],
      ["te", "trailers"],
      ["user-agent", "kura-bench"],
      ...fields,
    ];
  }

  /** The server wants a smaller table than usual: it gets none. Before the first block only. */
  shrink(): void {
    this.#tableBytesMax = 0;
    this.#mustResize = true;
  }

  /** The block of a call of this method. */
  blockOf(path: string): Uint8Array {
    if (this.#last?.path === path) return this.#last.block;
    const countBefore = this.#told.size;
    const parts: Uint8Array[] = [];
    const isResize = this.#mustResize;
    if (isResize) parts.push(Uint8Array.of(0x20));
    this.#mustResize = false;
    parts.push(encodeHeaders([[":method", "POST"]]), encodeHeaders([[":scheme", "http"]]));
    const fields: readonly HeaderField[] = [[":path", path], ...this.#fields];
    for (const field of fields) parts.push(this.#encode(field));
    const block = new Uint8Array(Buffer.concat(parts));
    const isFinal = !isResize && this.#told.size === countBefore;
    this.#last = isFinal ? { path, block } : null;
    return block;
  }

  #encode(field: HeaderField): Uint8Array {
    const [name, value] = field;
    const place = this.#told.get(`${name}\0${value}`);
    if (place !== undefined) {
      // The newest has the first index behind the static table.
      return Uint8Array.of(0x80 | (staticTable.length + this.#told.size - place));
    }
    const literal = encodeHeaders([field]);
    const bytes = this.#tableBytes + name.length + value.length + entryBytes;
    const isFull = staticTable.length + this.#told.size >= oneByteIndexMax;
    if (bytes > this.#tableBytesMax || isFull) return literal;
    this.#tableBytes = bytes;
    this.#told.set(`${name}\0${value}`, this.#told.size);
    return withIndexing(literal);
  }
}

/** The same literal with the wish that it be added. @source RFC 7541, section 6.2.1: six bits of an index, not four. */
function withIndexing(literal: Uint8Array): Uint8Array {
  const [first = 0, second = 0] = literal;
  if (first < 0x0f) return Uint8Array.of(0x40 | first, ...literal.subarray(1));
  // An index of 15 and more overflows four bits into a second byte, and none of the static table overflows six.
  return Uint8Array.of(0x40 | (0x0f + second), ...literal.subarray(2));
}

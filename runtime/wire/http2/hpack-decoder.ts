import { ConnectionFailure, errorCodes } from "./failure.ts";
import { decodeHuffman } from "./hpack-huffman.ts";
import { DynamicTable, type HeaderField, staticTable } from "./hpack-table.ts";
import type { RequestHead } from "./request-head.ts";

/** The size that we allow the other side's table, which is the default of the protocol. @source RFC 9113, 6.5.2. */
export const headerTableBytes = 4_096;
/** A number in a header block is a length or an index: far below this. */
const numberMax = 2 ** 28;
/** Blocks that are remembered by their bytes. */
const memoEntriesMax = 64;
const memoBlockBytesMax = 512;

const noBytes = new Uint8Array(0);

export type DecodedHeaders = {
  readonly fields: readonly HeaderField[];
  /** Names, values and 32 bytes for each. @source RFC 9113, section 6.5.2. */
  readonly listBytes: number;
  /** What they mean as a request, once somebody has checked that; the same block needs no second check. */
  head: RequestHead | null;
};

/**
 * Decodes the header blocks of one connection, in their order.
 * Once a client has told its headers they come as the same few bytes each time: such blocks are looked up whole, for as
 * long as the table stays as it is.
 */
export class HpackDecoder {
  readonly #table = new DynamicTable(headerTableBytes);
  readonly #listBytesMax: number;
  #memo = new Map<string, DecodedHeaders>();
  #memoGeneration = 0;
  #bytes: Uint8Array = noBytes;
  #at = 0;
  #endBytes = 0;

  /** Fields beyond `listBytesMax` are decoded, since the table needs them, and left out. */
  constructor(listBytesMax: number) {
    this.#listBytesMax = listBytesMax;
  }

  /** @throws ConnectionFailure "compressionError": nothing that follows could be decoded either. */
  decode(block: Uint8Array): DecodedHeaders {
    const isShort = block.length <= memoBlockBytesMax;
    const key = isShort
      ? Buffer.from(block.buffer, block.byteOffset, block.length).toString("latin1")
      : "";
    if (isShort) {
      if (this.#memoGeneration !== this.#table.generation) {
        this.#memo = new Map();
        this.#memoGeneration = this.#table.generation;
      }
      const known = this.#memo.get(key);
      if (known !== undefined) return known;
    }
    const decoded = this.#decodeAnew(block);
    // A view of what just came would keep all of it.
    this.#bytes = noBytes;
    const isSame = this.#memoGeneration === this.#table.generation;
    if (isShort && isSame && this.#memo.size < memoEntriesMax) this.#memo.set(key, decoded);
    return decoded;
  }

  #decodeAnew(block: Uint8Array): DecodedHeaders {
    this.#bytes = block;
    this.#at = 0;
    this.#endBytes = block.length;
    const fields: HeaderField[] = [];
    let listBytes = 0;
    let mayResize = true;
    while (this.#at < this.#endBytes) {
      const first = this.#bytes[this.#at]!;
      if ((first & 0xe0) === 0x20) {
        if (!mayResize) throw broken("a size update stands behind a field");
        this.#resize();
        continue;
      }
      mayResize = false;
      const field = this.#field(first);
      listBytes += 32 + field[0].length + field[1].length;
      if (listBytes <= this.#listBytesMax) fields.push(field);
    }
    return { fields, listBytes, head: null };
  }

  /** @source RFC 7541, section 6. */
  #field(first: number): HeaderField {
    if ((first & 0x80) !== 0) return this.#indexed(this.#number(7));
    const isAdded = (first & 0x40) !== 0;
    const index = this.#number(isAdded ? 6 : 4);
    const name = index === 0 ? this.#text() : this.#indexed(index)[0];
    const field: HeaderField = [name, this.#text()];
    if (isAdded) this.#table.add(field);
    return field;
  }

  #indexed(index: number): HeaderField {
    const field =
      index <= staticTable.length
        ? staticTable[index - 1]
        : this.#table.at(index - staticTable.length - 1);
    if (field === undefined) throw broken(`there is no entry ${index}`);
    return field;
  }

  #resize(): void {
    const bytesMax = this.#number(5);
    if (!this.#table.resize(bytesMax)) throw broken(`a table of ${bytesMax} bytes is too large`);
  }

  /** @source RFC 7541, section 5.1. */
  #number(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (value > numberMax) throw broken("a number is too large");
      if ((byte & 0x80) === 0) return value;
      // Zeros that go on for ever.
      if (scale > numberMax) throw broken("a number is too long");
    }
  }

  #byte(): number {
    if (this.#at >= this.#endBytes) throw broken("it ends in the middle of a field");
    return this.#bytes[this.#at++]!;
  }

  /** @source RFC 7541, section 5.2. */
  #text(): string {
    if (this.#at >= this.#endBytes) throw broken("it ends in the middle of a field");
    const isHuffman = (this.#bytes[this.#at]! & 0x80) !== 0;
    const length = this.#number(7);
    const startBytes = this.#at;
    if (length > this.#endBytes - startBytes) throw broken("it ends in the middle of a text");
    this.#at += length;
    if (!isHuffman) {
      const { buffer, byteOffset } = this.#bytes;
      return Buffer.from(buffer, byteOffset + startBytes, length).toString("latin1");
    }
    const text = decodeHuffman(this.#bytes, startBytes, this.#at);
    if (text === null) throw broken("a text is no Huffman code");
    return text;
  }
}

function broken(why: string): ConnectionFailure {
  return new ConnectionFailure(errorCodes.compressionError, `Cannot decode the headers: ${why}`);
}

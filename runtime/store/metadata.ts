import { Fault } from "../base/fault.ts";
import { getUint64, putUint64 } from "./format.ts";
import type { Attributes } from "./store.ts";

/** Where the bytes of a reference lie. */
export type Place = {
  readonly file: number;
  readonly offsetBytes: number;
  readonly metadataBytes: number;
};

/** What a record says beside its header. Field lengths are bytes of UTF-8. */
export type Metadata = {
  readonly tenant: string;
  readonly namespace: string;
  readonly key: string;
  readonly sha256: Uint8Array | null;
  readonly writer: string;
  readonly attributes: Attributes;
  readonly place: Place | null;
};

/** Room for three names of 640 bytes, 1 KiB of attributes, a writer, a digest, a place and the frames around them. */
export const metadataBytesMax = 3_300;
/** Ids have at most 512 bytes; a key is an id behind a short prefix. */
const nameBytesMax = 640;
const attributesBytesMax = 1_024;
const writerBytesMax = 256;

const tags = { sha256: 1, writer: 2, attributes: 3, place: 4 } as const;
const tagHeadBytes = 3;

/**
 * Writes metadata at an offset of a buffer that has `metadataBytesMax` bytes left there; returns the end.
 * Layout: tenant, namespace and key, each behind a 16-bit length; then fields of tag (8 bits), length (16 bits), bytes.
 * Readers skip tags that they do not know.
 */
export function encodeMetadata(into: Buffer, atBytes: number, metadata: Metadata): number {
  let at = putName(into, atBytes, metadata.tenant, "tenant");
  at = putName(into, at, metadata.namespace, "namespace");
  at = putName(into, at, metadata.key, "key");
  if (metadata.sha256 !== null) at = putField(into, at, tags.sha256, metadata.sha256);
  if (metadata.writer !== "") at = putWriter(into, at, metadata.writer);
  at = putAttributes(into, at, metadata.attributes);
  if (metadata.place !== null) at = putField(into, at, tags.place, encodePlace(metadata.place));
  return at;
}

/** Reads metadata whose CRC was found good. Null when it does not parse all the same. */
export function decodeMetadata(bytes: Uint8Array): Metadata | null {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const names: string[] = [];
  let at = 0;
  for (let i = 0; i < 3; i++) {
    if (at + 2 > source.length) return null;
    const end = at + 2 + source.readUInt16LE(at);
    if (end > source.length) return null;
    names.push(source.toString("utf8", at + 2, end));
    at = end;
  }
  const fields = decodeFields(source, at);
  if (fields === null) return null;
  const [tenant = "", namespace = "", key = ""] = names;
  return { tenant, namespace, key, ...fields };
}

type Fields = Pick<Metadata, "sha256" | "writer" | "attributes" | "place">;

function decodeFields(source: Buffer, startBytes: number): Fields | null {
  let sha256: Uint8Array | null = null;
  let writer = "";
  let attributes: Attributes = {};
  let place: Place | null = null;
  let at = startBytes;
  while (at < source.length) {
    if (at + tagHeadBytes > source.length) return null;
    const tag = source.readUInt8(at);
    const end = at + tagHeadBytes + source.readUInt16LE(at + 1);
    if (end > source.length) return null;
    const value = source.subarray(at + tagHeadBytes, end);
    if (tag === tags.sha256) sha256 = Uint8Array.from(value);
    if (tag === tags.writer) writer = value.toString("utf8");
    if (tag === tags.attributes) attributes = decodeAttributes(value);
    if (tag === tags.place) place = decodePlace(value);
    at = end;
  }
  return { sha256, writer, attributes, place };
}

function putName(into: Buffer, at: number, name: string, what: string): number {
  const length = into.write(name, at + 2, nameBytesMax + 4, "utf8");
  if (length > nameBytesMax) {
    throw new Fault("badRequest", `Cannot store an artifact whose ${what} has over 640 bytes`);
  }
  into.writeUInt16LE(length, at);
  return at + 2 + length;
}

function putField(into: Buffer, at: number, tag: number, value: Uint8Array): number {
  into.writeUInt8(tag, at);
  into.writeUInt16LE(value.length, at + 1);
  into.set(value, at + tagHeadBytes);
  return at + tagHeadBytes + value.length;
}

function putWriter(into: Buffer, at: number, writer: string): number {
  const value = Buffer.from(writer, "utf8");
  if (value.length > writerBytesMax) {
    throw new Fault("badRequest", "Cannot store an artifact whose writer has over 256 bytes");
  }
  return putField(into, at, tags.writer, value);
}

function putAttributes(into: Buffer, at: number, attributes: Attributes): number {
  let text = "";
  for (const name in attributes) text += `${name}\0${attributes[name]}\0`;
  if (text === "") return at;
  const value = Buffer.from(text, "utf8");
  if (value.length > attributesBytesMax) {
    throw new Fault("badRequest", "Cannot store an artifact with over 1 KiB of attributes");
  }
  return putField(into, at, tags.attributes, value);
}

function decodeAttributes(value: Buffer): Attributes {
  const parts = value.toString("utf8").split("\0");
  const attributes: Record<string, string> = {};
  for (let i = 0; i + 1 < parts.length; i += 2) attributes[parts[i] ?? ""] = parts[i + 1] ?? "";
  return attributes;
}

function encodePlace(place: Place): Uint8Array {
  const value = new Uint8Array(20);
  const view = new DataView(value.buffer);
  putUint64(view, 0, place.file);
  putUint64(view, 8, place.offsetBytes);
  view.setUint32(16, place.metadataBytes, true);
  return value;
}

function decodePlace(value: Buffer): Place | null {
  if (value.length !== 20) return null;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  return {
    file: getUint64(view, 0),
    offsetBytes: getUint64(view, 8),
    metadataBytes: view.getUint32(16, true),
  };
}

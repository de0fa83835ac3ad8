import { Database } from "bun:sqlite";
import fs from "node:fs";
import path from "node:path";
import { decodeFileHeader, filePageBytes, fileSeed } from "../../runtime/store/format.ts";
import { bytesKey, makeScope, nameArtifact } from "../../runtime/store/identity.ts";
import {
  decodeRecordHeader,
  recordBytes,
  recordHeaderBytes,
  recordTypes,
} from "../../runtime/store/record.ts";
import { manifestFlags } from "../../runtime/store/store.ts";
import { keyId, type LoadKey } from "./load-surface.ts";

/** A stretch of a data file and what lies there. Ends are exclusive. */
export type Span = {
  readonly path: string;
  readonly startBytes: number;
  readonly endBytes: number;
  readonly type: "put" | "reference" | "tombstone" | "large";
  /** Identity of the artifact, one character a byte; a scope's hash in the first half for a tombstone. */
  readonly id: string;
  /** What a read of the artifact looks at. */
  readonly isLive: boolean;
  /** End of header and metadata. */
  readonly bodyStartBytes: number;
};

export type FileMap = {
  readonly paths: readonly string[];
  readonly spans: readonly Span[];
};

/** The identity of a key of the load, as `Span.id` has it. */
export function idOfKey(key: LoadKey): string {
  const scope = makeScope("default", key.namespace);
  const id = keyId(key);
  switch (key.surface) {
    case "xcode":
      return bytesKey(nameArtifact("xcode", scope, `blob/${id}`).id);
    case "keyvalue":
      return bytesKey(nameArtifact("xcode", scope, `action_cache/${id}`).id);
    default:
      return bytesKey(nameArtifact(key.surface, scope, id).id);
  }
}

/** Where everything lies in the data files of a stopped node; the index is read from a copy in `scratch`. */
export function mapFiles(dataDir: string, scratch: string): FileMap {
  const live = readRows(dataDir, scratch);
  const spans: Span[] = [];
  const paths: string[] = [];
  for (const name of listNames(dataDir, "segments", ".seg")) {
    const file = path.join(dataDir, "segments", name);
    paths.push(file);
    spans.push(...mapSegment(file, live));
  }
  for (const name of listNames(dataDir, "large", ".body")) {
    const file = path.join(dataDir, "large", name);
    paths.push(file);
    const id = live.ids.get(`${Number.parseInt(name, 10)} large`);
    const endBytes = fs.statSync(file).size;
    if (id === undefined) continue;
    const place = { path: file, startBytes: 0, endBytes, bodyStartBytes: filePageBytes };
    spans.push({ ...place, type: "large", id, isLive: true });
  }
  return { paths, spans };
}

function listNames(dataDir: string, folder: string, suffix: string): string[] {
  const names = fs.readdirSync(path.join(dataDir, folder));
  return names.filter((name) => name.endsWith(suffix)).sort();
}

type Rows = { readonly ids: ReadonlyMap<string, string> };
type Row = { id: Uint8Array; file: number; offset_bytes: number; flags: number };

function readRows(dataDir: string, scratch: string): Rows {
  const copy = path.join(scratch, "index-copy.db");
  for (const suffix of ["", "-wal"]) {
    fs.rmSync(`${copy}${suffix}`, { force: true });
    const source = path.join(dataDir, `kura.db${suffix}`);
    if (fs.existsSync(source)) fs.copyFileSync(source, `${copy}${suffix}`);
  }
  const database = new Database(copy);
  const rows = database.query<Row, []>("SELECT id, file, offset_bytes, flags FROM artifact").all();
  database.close();
  const ids = new Map<string, string>();
  for (const row of rows) {
    const isLarge = (row.flags & manifestFlags.large) !== 0;
    const place = isLarge ? `${row.file} large` : `${row.file} ${row.offset_bytes}`;
    ids.set(place, bytesKey(row.id));
  }
  return { ids };
}

function mapSegment(file: string, rows: Rows): Span[] {
  const bytes = fs.readFileSync(file);
  const header = decodeFileHeader(bytes);
  if (header === null) throw new Error(`${file} has no whole header`);
  const seed = fileSeed(header.storeId, header.file);
  const spans: Span[] = [];
  for (let at = filePageBytes; at < bytes.length; ) {
    const record = decodeRecordHeader(bytes, at, { seed, offsetBytes: at });
    if (record === null) throw new Error(`${file} has no whole record at ${at}`);
    const endBytes = at + recordBytes(record);
    const id = bytesKey(record.id);
    spans.push({
      path: file,
      startBytes: at,
      endBytes,
      type: spanType(record.type),
      id,
      isLive: rows.ids.get(`${header.file} ${at}`) === id,
      bodyStartBytes: at + recordHeaderBytes + record.metadataBytes,
    });
    at = endBytes;
  }
  return spans;
}

function spanType(type: number): Span["type"] {
  if (type === recordTypes.put) return "put";
  return type === recordTypes.tombstone ? "tombstone" : "reference";
}

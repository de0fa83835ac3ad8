import fs from "node:fs";
import path from "node:path";
import type { Random } from "../../runtime/base/random.ts";
import type { FileMap, Span } from "./file-map.ts";

/** One damage: bytes that are put over others. */
export type Damage = {
  readonly kind: "bit" | "zeroedSector" | "misdirectedSector" | "swap";
  readonly writes: readonly { path: string; atBytes: number; bytes: Uint8Array }[];
};

const sectorBytes = [512, 4_096];
const swapTriesMax = 50;
/** In a hundred: sectors hit neighbours too and so use up more of the keys than a bit does. */
const share = { bitInRecord: 62, bitAnywhere: 15, swap: 15, zeroedSector: 4 };

/** Draws one damage somewhere in the files; what it reads it reads from `map.paths` as they are. */
export function drawDamage(random: Random, map: FileMap): Damage {
  const draw = random.below(100);
  if (draw < share.bitInRecord) return flipInSpan(random, pick(random, map.spans));
  if (draw < share.bitInRecord + share.bitAnywhere) {
    const file = pick(random, map.paths);
    return flip(random, file, random.below(fs.statSync(file).size));
  }
  if (draw < share.bitInRecord + share.bitAnywhere + share.swap) {
    return swapRecords(random, map.spans) ?? flipInSpan(random, pick(random, map.spans));
  }
  const isZeroed = draw < share.bitInRecord + share.bitAnywhere + share.swap + share.zeroedSector;
  return isZeroed ? zeroSector(random, map) : misdirectSector(random, map);
}

/** A bit of the header, the metadata or the body: each as likely as the others, however short it is. */
function flipInSpan(random: Random, span: Span): Damage {
  const { startBytes, bodyStartBytes, endBytes } = span;
  const isInBody = random.below(2) === 0 && bodyStartBytes < endBytes;
  const from = isInBody ? bodyStartBytes : startBytes;
  const to = isInBody ? endBytes : bodyStartBytes;
  return flip(random, span.path, from + random.below(to - from));
}

function flip(random: Random, file: string, atBytes: number): Damage {
  const bytes = readAt(file, atBytes, 1);
  bytes[0]! ^= 1 << random.below(8);
  return { kind: "bit", writes: [{ path: file, atBytes, bytes }] };
}

function zeroSector(random: Random, map: FileMap): Damage {
  const { file, atBytes, lengthBytes } = drawSector(random, map, pick(random, sectorBytes));
  const bytes = new Uint8Array(lengthBytes);
  return { kind: "zeroedSector", writes: [{ path: file, atBytes, bytes }] };
}

/** A write that was meant for another place. */
function misdirectSector(random: Random, map: FileMap): Damage {
  const size = pick(random, sectorBytes);
  const to = drawSector(random, map, size);
  const from = drawSector(random, map, size);
  const lengthBytes = Math.min(from.lengthBytes, to.lengthBytes);
  const bytes = readAt(from.file, from.atBytes, lengthBytes);
  return { kind: "misdirectedSector", writes: [{ path: to.file, atBytes: to.atBytes, bytes }] };
}

function drawSector(random: Random, map: FileMap, size: number) {
  const file = pick(random, map.paths);
  const fileBytes = fs.statSync(file).size;
  const atBytes = random.below(Math.ceil(fileBytes / size)) * size;
  return { file, atBytes, lengthBytes: Math.min(size, fileBytes - atBytes) };
}

/** Two records of equal size in each other's place; null when chance found none. */
function swapRecords(random: Random, spans: readonly Span[]): Damage | null {
  for (let tries = 0; tries < swapTriesMax; tries++) {
    const first = pick(random, spans);
    const lengthBytes = first.endBytes - first.startBytes;
    const second = pick(
      random,
      spans.filter((span) => span.endBytes - span.startBytes === lengthBytes),
    );
    if (second === first || first.type !== "put" || second.type !== "put") continue;
    const writes = [
      { ...placeOf(first), bytes: readAt(second.path, second.startBytes, lengthBytes) },
      { ...placeOf(second), bytes: readAt(first.path, first.startBytes, lengthBytes) },
    ];
    return { kind: "swap", writes };
  }
  return null;
}

function placeOf(span: Span): { path: string; atBytes: number } {
  return { path: span.path, atBytes: span.startBytes };
}

/** The spans that a damage changes, wholly or in part. */
export function touchedSpans(damage: Damage, spans: readonly Span[]): Span[] {
  return spans.filter((span) =>
    damage.writes.some(
      ({ path: file, atBytes, bytes }) =>
        file === span.path && atBytes < span.endBytes && atBytes + bytes.length > span.startBytes,
    ),
  );
}

/** Whether a damage puts other bytes in the place of what is there now. */
export function isChange(damage: Damage): boolean {
  return damage.writes.some(
    ({ path: file, atBytes, bytes }) =>
      Buffer.compare(readAt(file, atBytes, bytes.length), bytes) !== 0,
  );
}

export function applyDamage(damage: Damage): void {
  for (const { path: file, atBytes, bytes } of damage.writes) {
    const handle = fs.openSync(file, "r+");
    fs.writeSync(handle, bytes, 0, bytes.length, atBytes);
    fs.closeSync(handle);
  }
}

/** Puts a pristine copy in the place of a folder; shares the bytes where the file system can. */
export function restoreFolder(pristine: string, folder: string): void {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(path.dirname(folder), { recursive: true });
  const result = Bun.spawnSync(["cp", "-a", "--reflink=auto", pristine, folder]);
  if (result.exitCode !== 0) throw new Error(`Cannot copy: ${result.stderr.toString()}`);
}

function readAt(file: string, atBytes: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  const handle = fs.openSync(file, "r");
  fs.readSync(handle, bytes, 0, lengthBytes, atBytes);
  fs.closeSync(handle);
  return bytes;
}

export function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[random.below(items.length)];
  if (item === undefined) throw new Error("There is nothing to pick from");
  return item;
}

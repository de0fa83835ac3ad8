import { type HeaderField, staticTable } from "./hpack-table.ts";

/** Indexes of whole fields and, for those without the value, of names. */
const fieldIndexes = new Map<string, number>();
const nameIndexes = new Map<string, number>();
for (const [place, [name, value]] of staticTable.entries()) {
  if (!fieldIndexes.has(`${name}\0${value}`)) fieldIndexes.set(`${name}\0${value}`, place + 1);
  if (!nameIndexes.has(name)) nameIndexes.set(name, place + 1);
}

/**
 * Encodes a header block that needs nothing of the other side's table, so that the same block is right for every
 * connection and can be made once: indexes of the static table, and literals that are not added.
 * Names and values have one byte a character.
 */
export function encodeHeaders(fields: readonly HeaderField[]): Uint8Array {
  const parts: number[] = [];
  for (const [name, value] of fields) {
    const index = fieldIndexes.get(`${name}\0${value}`);
    if (index !== undefined) {
      addNumber(parts, 0x80, 7, index);
      continue;
    }
    const nameIndex = nameIndexes.get(name) ?? 0;
    addNumber(parts, 0x00, 4, nameIndex);
    if (nameIndex === 0) addText(parts, name);
    addText(parts, value);
  }
  return Uint8Array.from(parts);
}

function addText(parts: number[], text: string): void {
  addNumber(parts, 0x00, 7, text.length);
  for (let i = 0; i < text.length; i++) parts.push(text.charCodeAt(i) & 0xff);
}

function addNumber(parts: number[], flags: number, prefixBits: number, value: number): void {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) {
    parts.push(flags | value);
    return;
  }
  parts.push(flags | mask);
  let rest = value - mask;
  while (rest >= 0x80) {
    parts.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  parts.push(rest);
}

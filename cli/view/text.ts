import { GiB, KiB, MiB } from "../../runtime/base/units.ts";
import type { Terminal } from "../terminal.ts";

export type Facts = Readonly<Record<string, unknown>>;

/** Prints a value the way its reader wants it: text for a person, JSON for a program or with --json. */
export function show(
  terminal: Terminal,
  value: Facts | readonly Facts[],
  options: { json?: boolean },
): void {
  if (options.json === true || !terminal.isInteractive) {
    terminal.print(JSON.stringify(value, null, 2));
  } else if (Array.isArray(value)) {
    terminal.print(renderTable(value));
  } else {
    terminal.print(renderFacts(value as Facts));
  }
}

/** One fact a line, names in a column; nested names are joined by dots. */
export function renderFacts(facts: Facts): string {
  const lines = flatten("", facts);
  const widthMax = Math.max(0, ...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${name.padEnd(widthMax)}  ${value}`).join("\n");
}

/** One row a line under the names of the first row; numbers stand to the right. */
export function renderTable(rows: readonly Facts[]): string {
  const [first] = rows;
  if (first === undefined) return "none";
  const names = Object.keys(first);
  const cells = rows.map((row) => names.map((name) => renderValue(name, row[name])));
  const widths = names.map((name, column) =>
    Math.max(name.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const isNumber = names.map((name) => typeof first[name] === "number");
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return isNumber[column] === true ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [names, ...cells].map(line).join("\n");
}

function flatten(prefix: string, facts: Facts): [string, string][] {
  return Object.entries(facts).flatMap(([name, value]): [string, string][] => {
    const isNested = typeof value === "object" && value !== null && !Array.isArray(value);
    if (isNested) return flatten(`${prefix}${name}.`, value as Facts);
    return [[`${prefix}${name}`, renderValue(name, value)]];
  });
}

function renderValue(name: string, value: unknown): string {
  if (value === null || value === undefined) return "-";
  if (typeof value === "number" && /bytes$/i.test(name)) return renderBytes(value);
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(String).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The exact count, with a rounded one beside it from 10 KiB on. */
export function renderBytes(sizeBytes: number): string {
  for (const [unit, unitBytes] of [
    ["GiB", GiB],
    ["MiB", MiB],
    ["KiB", KiB],
  ] as const) {
    if (sizeBytes >= 10 * unitBytes || (unit !== "KiB" && sizeBytes >= unitBytes)) {
      return `${sizeBytes} (${(sizeBytes / unitBytes).toFixed(1)} ${unit})`;
    }
  }
  return String(sizeBytes);
}

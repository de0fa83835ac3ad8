import ts from "typescript";
import { functionsOf, hasSizeLimit } from "./sizes.ts";
import { countLines, type Source } from "./source.ts";
import { checkComments, commentPercent, countAssertions, countKind } from "./texts.ts";

/** Figures of the tree that may only improve. */
export type Figures = Readonly<Record<FigureName, number>>;
export type FigureName = keyof typeof betterWhen;

const betterWhen = {
  fileLinesMedian: "lower",
  fileLinesMax: "lower",
  functionLinesMax: "lower",
  storeCommentPercent: "higher",
  anyCount: "lower",
  unfinishedCount: "lower",
  assertionCount: "lower",
  dependencyCount: "lower",
} as const;

export const figureNames = Object.keys(betterWhen) as FigureName[];

export type PackageJson = {
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
};

export function measure(sources: readonly Source[], packageJson: PackageJson): Figures {
  const sized = sources.filter(hasSizeLimit);
  const sum = (of: (source: Source) => number): number =>
    sized.reduce((total, source) => total + of(source), 0);
  const lines = sized.map((source) => countLines(source.text)).sort((a, b) => a - b);
  const functionLines = sized.flatMap((source) => functionsOf(source).map(({ lines }) => lines));
  return {
    fileLinesMedian: lines[Math.floor(lines.length / 2)] ?? 0,
    fileLinesMax: lines.at(-1) ?? 0,
    functionLinesMax: functionLines.reduce((most, count) => Math.max(most, count), 0),
    storeCommentPercent: commentPercent(
      sources.filter((source) => source.path.startsWith("runtime/store/")),
    ),
    anyCount: sum((source) => countKind(source, ts.SyntaxKind.AnyKeyword)),
    unfinishedCount: sum(
      (source) => checkComments(source).filter(({ rule }) => rule === "unfinished").length,
    ),
    assertionCount: sum(countAssertions),
    dependencyCount:
      Object.keys(packageJson.dependencies ?? {}).length +
      Object.keys(packageJson.devDependencies ?? {}).length,
  };
}

/** One sentence for each figure that got worse than its stored value. */
export function compare(now: Figures, stored: Figures): string[] {
  return figureNames
    .filter((name) => isWorse(name, now[name], stored[name]))
    .map((name) => `${name} is ${now[name]}, it was ${stored[name]} and may not get worse`);
}

/** The stored figures, moved to the present ones where those are better. */
export function tighten(now: Figures, stored: Figures): Figures {
  const entries = figureNames.map((name) => [
    name,
    isWorse(name, now[name], stored[name]) ? stored[name] : now[name],
  ]);
  return Object.fromEntries(entries) as Figures;
}

function isWorse(name: FigureName, now: number, stored: number): boolean {
  return betterWhen[name] === "lower" ? now > stored : now < stored;
}

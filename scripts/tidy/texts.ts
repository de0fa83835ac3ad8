import ts from "typescript";
import { type Finding, type Source, walk } from "./source.ts";

export type Comment = { readonly text: string; readonly line: number; readonly lines: number };

/** All comments of a file, in order. */
export function commentsOf(source: Source): Comment[] {
  const byStart = new Map<number, Comment>();
  const add = (range: ts.CommentRange): void => {
    const text = source.text.slice(range.pos, range.end);
    const line = source.tree.getLineAndCharacterOfPosition(range.pos).line + 1;
    byStart.set(range.pos, { text, line, lines: text.split("\n").length });
  };
  const addAround = (node: ts.Node): void => {
    for (const range of ts.getLeadingCommentRanges(source.text, node.pos) ?? []) add(range);
    for (const range of ts.getTrailingCommentRanges(source.text, node.end) ?? []) add(range);
  };
  walk(source.tree, (node) => {
    // Text between tags of JSX is not trivia: "//" in it is no comment.
    if (ts.isJsxText(node)) return;
    for (const child of node.getChildren(source.tree)) addAround(child);
  });
  addAround(source.tree.endOfFileToken);
  return [...byStart.entries()].sort(([a], [b]) => a - b).map(([, comment]) => comment);
}

/** Marks of unfinished work, put together here so that this file does not find itself. */
const unfinished = new RegExp(`\\b(${["TO", "FIX"].join("DO|")}ME|XX${"X"})\\b`);

/** Comments that leave work for later or switch the compiler off. */
export function checkComments(source: Source): Finding[] {
  return commentsOf(source).flatMap(({ text, line }) => {
    const finding = (rule: string, message: string): Finding[] => [
      { path: source.path, line, rule, message },
    ];
    if (unfinished.test(text)) {
      return finding(
        "unfinished",
        "leaves work for later: do it, or open an issue and say why not",
      );
    }
    if (/@ts-(ignore|nocheck)\b/.test(text)) {
      return finding("compilerOff", "switches the compiler off: give the value its type");
    }
    return [];
  });
}

/** A folder of one machine or one user. Bun's own "/$bunfs/root" is none: the look-behind refuses it. */
const machinePath = /(?<![\w$.:/@{}-])\/(?:root|home|Users|work)\/[\w.]/;

/** Any text file of the tree, code or not. */
export function checkMachinePaths(file: string, text: string): Finding[] {
  return text.split("\n").flatMap((line, index) => {
    const found = line.match(machinePath)?.[0];
    if (found === undefined) return [];
    const message = `names a path of one machine (${found}...): make it relative or a setting`;
    return [{ path: file, line: index + 1, rule: "machinePath", message }];
  });
}

/** `!` assertions, except behind an index, where a loop's bound is the proof. */
export function countAssertions(source: Source): number {
  let count = 0;
  walk(source.tree, (node) => {
    if (ts.isNonNullExpression(node) && !ts.isElementAccessExpression(node.expression)) count++;
  });
  return count;
}

/** Lines of comment per 100 lines that are not blank. */
export function commentPercent(sources: readonly Source[]): number {
  let commentLines = 0;
  let allLines = 0;
  for (const source of sources) {
    for (const comment of commentsOf(source)) commentLines += comment.lines;
    allLines += source.text.split("\n").filter((line) => line.trim() !== "").length;
  }
  return allLines === 0 ? 0 : Math.round((1_000 * commentLines) / allLines) / 10;
}

/** Finds uses of a node kind, for the figures of the ratchet. */
export function countKind(source: Source, kind: ts.SyntaxKind): number {
  let count = 0;
  walk(source.tree, (node) => {
    if (node.kind === kind) count++;
  });
  return count;
}

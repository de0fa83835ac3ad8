import ts from "typescript";
import { countLines, type Finding, lineOf, type Source, walk } from "./source.ts";

export const fileLinesMax = 400;
/** Functions should end at 60 lines; ten more are borne before it is an error. */
export const functionLinesMax = 70;

/** Specs are lists of cases and may be long. */
export function hasSizeLimit(source: Source): boolean {
  return !source.path.startsWith("spec/");
}

export function checkSizes(source: Source): Finding[] {
  if (!hasSizeLimit(source)) return [];
  const findings: Finding[] = [];
  const lines = countLines(source.text);
  if (lines > fileLinesMax) {
    const message = `${lines} lines, more than ${fileLinesMax}: split it by what changes together`;
    findings.push({ path: source.path, line: 1, rule: "fileSize", message });
  }
  for (const { name, line, lines } of functionsOf(source)) {
    if (lines <= functionLinesMax) continue;
    const message = `function ${name} has ${lines} lines, more than ${functionLinesMax}: let it decide and give the work to helpers`;
    findings.push({ path: source.path, line, rule: "functionSize", message });
  }
  return findings;
}

export type MeasuredFunction = {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
};

/** Every function, method, accessor and closure with a body; a closure counts for itself and for what encloses it. */
export function functionsOf(source: Source): MeasuredFunction[] {
  const found: MeasuredFunction[] = [];
  walk(source.tree, (node) => {
    if (!ts.isFunctionLike(node) || !("body" in node) || node.body === undefined) return;
    const last = source.tree.getLineAndCharacterOfPosition(node.getEnd()).line + 1;
    const line = lineOf(source, node);
    found.push({ name: nameOf(source, node), line, lines: last - line + 1 });
  });
  return found;
}

function nameOf(source: Source, node: ts.SignatureDeclaration): string {
  if (node.name !== undefined) return node.name.getText(source.tree);
  if (ts.isConstructorDeclaration(node)) return "constructor";
  const { parent } = node;
  const isNamed = ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent);
  return isNamed ? parent.name.getText(source.tree) : "(closure)";
}

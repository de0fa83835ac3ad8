import fs from "node:fs";
import path from "node:path";
import ts from "typescript";

/** One file of the tree, parsed. `path` is from the root of the tree, with slashes. */
export type Source = {
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
};

/** Something that breaks a rule, at a line counted from 1. */
export type Finding = {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
};

/** The folders whose TypeScript we answer for. */
export const codeFolders = ["cli", "runtime", "scripts", "spec"];

export function readSources(root: string): Source[] {
  return codeFolders
    .flatMap((folder) => listFiles(root, folder))
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => parseSource(file, fs.readFileSync(path.join(root, file), "utf8")));
}

export function parseSource(file: string, text: string): Source {
  const kind = file.endsWith("x") ? ts.ScriptKind.TSX : ts.ScriptKind.TS;
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true, kind);
  return { path: file, text, tree };
}

/** Paths of all files below a folder, sorted; empty when there is none. What packages and builds leave is left out. */
export function listFiles(root: string, folder: string): string[] {
  const absolute = path.join(root, folder);
  if (!fs.existsSync(absolute)) return [];
  return fs
    .readdirSync(absolute, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .map((file) => file.split(path.sep).join("/"))
    .filter((file) => !/(^|\/)(node_modules|dist|\.git)\//.test(file))
    .sort();
}

export function lineOf(source: Source, node: ts.Node): number {
  return source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree)).line + 1;
}

export function countLines(text: string): number {
  return text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
}

/** Visits a node and everything below it. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

export type Import = { readonly specifier: string; readonly line: number };

/** Every module a file names: imports, re-exports, `import()`, `import("x").T` and files that a Worker is started from. */
export function importsOf(source: Source): Import[] {
  const found: Import[] = [];
  walk(source.tree, (node) => {
    const literal = moduleLiteral(node);
    if (literal !== null) found.push({ specifier: literal.text, line: lineOf(source, node) });
  });
  return found;
}

function moduleLiteral(node: ts.Node): ts.StringLiteralLike | null {
  const literal = moduleExpression(node);
  return literal !== undefined && ts.isStringLiteralLike(literal) ? literal : null;
}

function moduleExpression(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    return node.argument.literal;
  }
  if (!ts.isCallExpression(node)) return undefined;
  const isImport = node.expression.kind === ts.SyntaxKind.ImportKeyword;
  const isRequire = ts.isIdentifier(node.expression) && node.expression.text === "require";
  return isImport || isRequire ? node.arguments[0] : undefined;
}

/** The path in the tree that a relative import leads to, or null for a package. */
export function importTarget(source: Source, specifier: string): string | null {
  if (!specifier.startsWith(".")) return null;
  return path.posix.normalize(path.posix.join(path.posix.dirname(source.path), specifier));
}

/** Files named in `workerPath("runtime/...")`: they are reached without an import. */
export function workersOf(source: Source): string[] {
  const found: string[] = [];
  walk(source.tree, (node) => {
    if (!ts.isCallExpression(node) || node.expression.getText(source.tree) !== "workerPath") return;
    const [argument] = node.arguments;
    if (argument !== undefined && ts.isStringLiteralLike(argument)) found.push(argument.text);
  });
  return found;
}

import ts from "typescript";
import { type Finding, lineOf, type Source, walk } from "./source.ts";

/** Files that may do what is banned elsewhere, each with the reason. */
type Allowed = Readonly<Record<string, string>>;

/** One thing that is not done. `find` says whether a node does it. */
export type Ban = {
  readonly rule: string;
  /** Starts of paths where the ban holds. */
  readonly where: readonly string[];
  readonly find: (node: ts.Node) => boolean;
  /** What is wrong and what to use instead. */
  readonly message: string;
  readonly allowed: Allowed;
};

const program = ["runtime/", "cli/"];
const everywhere = ["runtime/", "cli/", "scripts/", "spec/"];

/** The dotted name of an access, such as "Date.now"; null for anything computed. */
function dottedName(node: ts.Node): string | null {
  if (ts.isIdentifier(node)) return node.text;
  if (!ts.isPropertyAccessExpression(node)) return null;
  const left = dottedName(node.expression);
  if (left === null) return null;
  return left === "globalThis" ? node.name.text : `${left}.${node.name.text}`;
}

function accesses(...names: string[]): (node: ts.Node) => boolean {
  return (node) => ts.isPropertyAccessExpression(node) && names.includes(dottedName(node) ?? "");
}

/** Calls of a global function; `new` counts as a call. */
function calls(...names: string[]): (node: ts.Node) => boolean {
  return (node) =>
    ts.isCallExpression(node) && names.includes(dottedName(node.expression) ?? "(computed)");
}

function callsMethod(...names: string[]): (node: ts.Node) => boolean {
  return (node) =>
    ts.isCallExpression(node) &&
    ts.isPropertyAccessExpression(node.expression) &&
    names.includes(node.expression.name.text);
}

function imports(...modules: string[]): (node: ts.Node) => boolean {
  return (node) =>
    ts.isStringLiteralLike(node) &&
    modules.includes(node.text) &&
    (ts.isImportDeclaration(node.parent) ||
      ts.isExportDeclaration(node.parent) ||
      (ts.isCallExpression(node.parent) &&
        node.parent.expression.kind === ts.SyntaxKind.ImportKeyword));
}

function anyOf(...finders: ((node: ts.Node) => boolean)[]): (node: ts.Node) => boolean {
  return (node) => finders.some((find) => find(node));
}

function isNewDateOfNow(node: ts.Node): boolean {
  return (
    ts.isNewExpression(node) &&
    dottedName(node.expression) === "Date" &&
    (node.arguments?.length ?? 0) === 0
  );
}

/** A text or template that names the index or the lock file of a data directory. */
function namesLockedFile(node: ts.Node): boolean {
  const isText = ts.isStringLiteralLike(node) || ts.isTemplateHead(node);
  const isPart = ts.isTemplateMiddle(node) || ts.isTemplateTail(node);
  return (isText || isPart) && /(^|\/)(kura\.db(-wal|-shm)?|lock\.db|lock\/)/.test(node.text);
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return node.isExportEquals !== true;
  if (ts.isExportSpecifier(node)) return node.name.text === "default";
  return node.kind === ts.SyntaxKind.DefaultKeyword && ts.canHaveModifiers(node.parent);
}

export const bans: readonly Ban[] = [
  {
    rule: "time",
    where: [...program, "scripts/"],
    find: anyOf(accesses("Date.now", "performance.now", "Bun.nanoseconds"), isNewDateOfNow),
    message: "asks the machine for the time: take a Clock (runtime/base/clock.ts)",
    allowed: { "runtime/base/clock.ts": "the real clock" },
  },
  {
    rule: "timer",
    where: ["runtime/"],
    find: calls("setTimeout", "setInterval", "Bun.sleep", "Bun.sleepSync"),
    message: "starts a timer of its own: use clock.after or clock.every (runtime/base/clock.ts)",
    allowed: { "runtime/base/clock.ts": "the real clock" },
  },
  {
    rule: "chance",
    where: [...program, "scripts/"],
    find: accesses("Math.random", "crypto.getRandomValues", "crypto.randomUUID"),
    message: "draws its own chance: take a Random (runtime/base/random.ts)",
    allowed: { "runtime/base/random.ts": "the real source of chance" },
  },
  {
    rule: "files",
    where: program,
    find: anyOf(
      imports("node:fs", "node:fs/promises", "fs", "fs/promises"),
      accesses("Bun.write", "Bun.mmap"),
    ),
    message:
      "touches files: take a Disk (runtime/base/disk.ts), only its writes are complete or fail",
    allowed: { "runtime/base/real-disk.ts": "the real disk" },
  },
  {
    rule: "fileHandle",
    where: program,
    find: accesses("Bun.file"),
    message: "opens a file past the Disk (runtime/base/disk.ts): read with Disk.open",
    allowed: {},
  },
  {
    rule: "foreignCall",
    where: everywhere,
    find: imports("bun:ffi"),
    message:
      "calls into C: only kernel-send.ts and thread-cpu.ts of runtime/base may, and they check what they can",
    allowed: {
      "runtime/base/kernel-send.ts": "sendfile(2)",
      "runtime/base/thread-cpu.ts": "clock_gettime(2)",
    },
  },
  {
    rule: "fileSink",
    where: everywhere,
    find: callsMethod("writer"),
    message: "opens a FileSink, whose end() can resolve after a failed write: use Disk.write",
    allowed: {},
  },
  {
    rule: "lockedFile",
    where: program,
    find: namesLockedFile,
    message:
      "names the index or the lock file: to open and close one outside of bun:sqlite frees its locks, so only its owners may know the name",
    allowed: {
      "runtime/store/lock.ts": "opens the lock with bun:sqlite",
      "runtime/store/worker-maintenance.ts": "names the index to the Worker, which uses bun:sqlite",
      "runtime/store/sqlite-home.ts":
        "opens the index with bun:sqlite, renames it while it is closed",
    },
  },
  {
    rule: "environment",
    where: program,
    find: accesses("process.env", "Bun.env", "import.meta.env"),
    message: "reads the environment: settings come from runtime/config",
    allowed: {},
  },
  {
    rule: "print",
    where: ["runtime/"],
    find: (node) =>
      ts.isPropertyAccessExpression(node) && /^console\.\w+$/.test(dottedName(node) ?? ""),
    message: "prints: log with runtime/observe, so that secrets are redacted and repeats limited",
    allowed: {},
  },
  {
    rule: "any",
    where: everywhere,
    find: (node) => node.kind === ts.SyntaxKind.AnyKeyword,
    message: "uses any: name the type, or use unknown and check",
    allowed: {},
  },
  {
    rule: "only",
    where: everywhere,
    find: callsMethod("only", "todo"),
    message: "leaves tests out: remove .only and .todo",
    allowed: {},
  },
  {
    rule: "defaultExport",
    where: everywhere,
    find: isDefaultExport,
    message: "exports a default: give it its name",
    allowed: { "runtime/base/imported-files.d.ts": "Bun gives file imports as defaults" },
  },
];

/** Folders whose own business a ban is. */
const owners: Readonly<Record<string, string>> = {
  environment: "runtime/config/",
  print: "runtime/observe/",
};

/** Checks one file against every ban. `spec/` is exempt from all but those that hold everywhere. */
export function checkBans(source: Source, rules: readonly Ban[] = bans): Finding[] {
  const held = rules.filter(
    (ban) =>
      ban.where.some((start) => source.path.startsWith(start)) &&
      !(source.path in ban.allowed) &&
      !source.path.startsWith(owners[ban.rule] ?? "\0"),
  );
  const findings: Finding[] = [];
  walk(source.tree, (node) => {
    for (const { rule, message, find } of held) {
      if (find(node))
        findings.push({ path: source.path, line: lineOf(source, node), rule, message });
    }
  });
  return findings;
}

/** Allowances that no longer allow anything: the list may only say what is true. */
export function checkAllowances(
  sources: readonly Source[],
  rules: readonly Ban[] = bans,
): Finding[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  return rules.flatMap((ban) =>
    Object.keys(ban.allowed)
      .filter((path) => {
        const source = byPath.get(path);
        return source === undefined || checkBans(source, [{ ...ban, allowed: {} }]).length === 0;
      })
      .map((path) => ({
        path,
        line: 1,
        rule: "exception",
        message: `is excused from "${ban.rule}" but does not need it: remove it from that list`,
      })),
  );
}

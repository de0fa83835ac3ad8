/**
 * Checks what style and layout ask for and a program can see. Prints what it finds and the figures of the ratchet;
 * the exit code is 1 when something is found. `--update` stores figures that got better.
 */
import fs from "node:fs";
import path from "node:path";
import { checkAllowances, checkBans } from "./tidy/bans.ts";
import { checkLayers } from "./tidy/layers.ts";
import {
  compare,
  type Figures,
  figureNames,
  measure,
  type PackageJson,
  tighten,
} from "./tidy/ratchet.ts";
import { checkSizes } from "./tidy/sizes.ts";
import { codeFolders, type Finding, listFiles, readSources, type Source } from "./tidy/source.ts";
import { checkComments, checkMachinePaths } from "./tidy/texts.ts";
import { checkMirrors, checkReachable } from "./tidy/tree.ts";

const ratchetPath = "scripts/tidy-ratchet.json";

/** Texts besides the code in which no machine's paths may stand. */
const textFolders = [".ci", "docs", "ops", "proto", "cli", "runtime", "scripts", "spec"];
const textFile = /(\.(ts|tsx|mjs|js|json|md|proto|lua|ya?ml|toml|sh|service|gradle|kts)|\/[^.]+)$/;

/** Checks of single files. */
export function checkSource(source: Source): Finding[] {
  return [checkLayers, checkSizes, checkBans, checkComments].flatMap((check) => check(source));
}

export type TidyReport = {
  readonly findings: readonly Finding[];
  readonly figures: Figures;
  readonly stored: Figures;
};

/** Checks a whole tree against every rule and against its stored figures. */
export function tidy(root: string): TidyReport {
  const sources = readSources(root);
  const figures = measure(sources, readJson<PackageJson>(root, "package.json"));
  const stored = readStored(root);
  const findings = [
    ...sources.flatMap(checkSource),
    ...checkAllowances(sources),
    ...checkReachable(sources),
    ...checkMirrors(codeFolders.flatMap((folder) => listFiles(root, folder))),
    ...textFiles(root).flatMap((file) =>
      checkMachinePaths(file, fs.readFileSync(path.join(root, file), "utf8")),
    ),
    ...compare(figures, stored).map((message) => ({
      path: ratchetPath,
      line: 1,
      rule: "ratchet",
      message,
    })),
  ];
  return { findings, figures, stored };
}

/** The figures the tree had when they were last tightened. */
export function readStored(root: string): Figures {
  return readJson<Figures>(root, ratchetPath);
}

function textFiles(root: string): string[] {
  const inFolders = textFolders.flatMap((folder) => listFiles(root, folder));
  const atRoot = fs.readdirSync(root).filter((name) => /\.(md|json|toml)$/.test(name));
  return [...atRoot, ...inFolders].filter((file) => textFile.test(file));
}

function readJson<T>(root: string, file: string): T {
  return JSON.parse(fs.readFileSync(path.join(root, file), "utf8")) as T;
}

/** One line a finding, in the form that editors and terminals make a link of. */
export function formatFinding({ path: file, line, rule, message }: Finding): string {
  return `${file}:${line} [${rule}] ${message}`;
}

export function formatFigures({ figures, stored }: TidyReport): string {
  return figureNames
    .map((name) => `${name.padEnd(20)} ${figures[name]} (stored ${stored[name]})`)
    .join("\n");
}

if (import.meta.main) {
  const root = path.dirname(import.meta.dir);
  const report = tidy(root);
  for (const finding of report.findings) console.log(formatFinding(finding));
  console.log(formatFigures(report));
  console.log(`${report.findings.length} findings`);
  if (process.argv.includes("--update")) {
    const better = tighten(report.figures, report.stored);
    fs.writeFileSync(path.join(root, ratchetPath), `${JSON.stringify(better, null, 2)}\n`);
  }
  process.exit(report.findings.length > 0 ? 1 : 0);
}

import fs from "node:fs";
import path from "node:path";
import { minute } from "../../runtime/base/units.ts";
import { installMsMax, installOnce, requireProgram } from "../support/client-packages.ts";
import { makeTemporaryFolder } from "../support/node-process.ts";

const h2specVersion = "2.2.1";
/** All modules with their versions, as the tool has no list of its own: the same program in each run. */
const goModule = `module kura.test/h2spec

go 1.19

require github.com/summerwind/h2spec v${h2specVersion}+incompatible

require (
	github.com/fatih/color v1.15.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/mattn/go-colorable v0.1.13 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/spf13/cobra v1.7.0 // indirect
	github.com/spf13/pflag v1.0.5 // indirect
	golang.org/x/net v0.17.0 // indirect
	golang.org/x/sys v0.13.0 // indirect
	golang.org/x/text v0.13.0 // indirect
)
`;
/** Keeps the tool's own packages among those that the module needs. */
const goSource = `//go:build tools

package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
`;

/** The whole run takes a fraction of a second; a case that waits for something takes 2 s until the tool gives it up. */
export const h2specMsMax = 5 * minute;

/** What the tool found: how many cases there were, and the names of those that did not pass. */
export type H2specResult = {
  readonly cases: number;
  readonly notPassed: readonly string[];
  readonly words: string;
};

/**
 * The program: the one that KURA_H2SPEC names, else the one on PATH, else one that is built from its source.
 * @throws Error when it cannot be built.
 */
export async function findH2spec(): Promise<string> {
  const chosen = process.env.KURA_H2SPEC ?? Bun.which("h2spec");
  if (chosen !== null) return chosen;
  const folder = await installOnce(`h2spec-${h2specVersion}`, buildH2spec);
  return path.join(folder, "h2spec");
}

async function buildH2spec(folder: string): Promise<void> {
  fs.writeFileSync(path.join(folder, "go.mod"), goModule);
  fs.writeFileSync(path.join(folder, "tools.go"), goSource);
  const go = requireProgram("go", "apt-get install golang-go");
  const tool = "github.com/summerwind/h2spec/cmd/h2spec";
  const child = Bun.spawn([go, "build", "-mod=mod", "-o", path.join(folder, "h2spec"), tool], {
    cwd: folder,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    timeout: installMsMax,
  });
  const [said, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  if (code !== 0) throw new Error(`Cannot build h2spec (exit ${code}). go said:\n${said}`);
}

/** Runs every case, strict ones too, against a port in clear. */
export async function runH2spec(program: string, port: number): Promise<H2specResult> {
  const folder = makeTemporaryFolder("h2spec");
  const report = path.join(folder, "report.xml");
  try {
    const args = ["-h", "127.0.0.1", "-p", String(port), "--strict", "-j", report];
    const child = Bun.spawn([program, ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: h2specMsMax,
    });
    const [words, errors] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    if (!fs.existsSync(report)) throw new Error(`h2spec wrote no report:\n${words}${errors}`);
    return { ...readReport(fs.readFileSync(report, "utf8")), words };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

const caseForm =
  /<testcase package="([^"]*)" classname="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g;

function readReport(xml: string): Omit<H2specResult, "words"> {
  const found = [...xml.matchAll(caseForm)];
  // A case that passed has nothing inside: neither failure nor error nor skipped.
  const notPassed = found
    .filter(([, , , inside = ""]) => inside.trim() !== "")
    .map(([, place = "", name = ""]) => `${place} ${name}`);
  return { cases: found.length, notPassed };
}

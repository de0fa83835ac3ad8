import { buildInfo } from "../../runtime/base/build-info.ts";
import { checkPackages, type PackageState } from "../packages.ts";

/** Prints what this binary is and whether each package in it works. The exit code is 1 when one does not. */
export async function inspectBuild(options: { json: boolean }): Promise<void> {
  const facts = {
    version: buildInfo.version,
    commit: buildInfo.commit,
    bun: Bun.version,
    platform: `${process.platform}-${process.arch}`,
  };
  const packages = await checkPackages();
  const text = options.json
    ? JSON.stringify({ ...facts, packages }, null, 2)
    : [...Object.entries(facts).map(line), ...packages.map(packageLine)].join("\n");
  console.log(text);
  if (packages.some((state) => state.at === "broken")) process.exitCode = 1;
}

function line([name, value]: [string, string]): string {
  return `${name.padEnd(labelWidth)}${value}`;
}

function packageLine(state: PackageState): string {
  return line([state.name, state.at === "ok" ? "ok" : `broken: ${state.error}`]);
}

/** Fits "@peculiar/x509" and two spaces. */
const labelWidth = 16;

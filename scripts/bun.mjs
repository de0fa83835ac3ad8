/**
 * Starts the pinned Bun with the given arguments. Plain Node 20, so that a machine with only Node and npm can build.
 *
 * npm may refuse to run install scripts; then node_modules/.bin/bun is a stub of 450 bytes that only prints an error.
 * The binary itself is in the platform package, or, once Bun's own install script ran, in the stub's place.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const modules = join(dirname(dirname(fileURLToPath(import.meta.url))), "node_modules");

/** A stub has 450 bytes, Bun about 100 MB. */
const bunBytesMin = 1024 * 1024;

function isBun(path) {
  return existsSync(path) && statSync(path).size >= bunBytesMin;
}

function candidates() {
  const os = process.platform === "win32" ? "windows" : process.platform;
  const cpu = process.arch === "arm64" ? "aarch64" : process.arch;
  const isMusl = os === "linux" && !process.report.getReport().header.glibcVersionRuntime;
  const endings = isMusl ? ["-musl", "-musl-baseline"] : ["", "-baseline"];
  const file = os === "windows" ? "bun.exe" : "bun";
  return [
    ...endings.map((ending) => join(modules, "@oven", `bun-${os}-${cpu}${ending}`, "bin", file)),
    join(modules, "bun", "bin", "bun.exe"),
  ];
}

function findBun() {
  return candidates().find(isBun) ?? null;
}

function installBun() {
  const script = join(modules, "bun", "install.js");
  if (!existsSync(script)) return;
  spawnSync(process.execPath, [script], { cwd: dirname(script), stdio: "inherit" });
}

function run(bun) {
  const child = spawn(bun, process.argv.slice(2), { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(
      `Cannot start Bun at ${bun}: ${error.message}. Remove node_modules and run npm ci.`,
    );
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    // 128 + number is what a shell makes of a death by signal.
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
  });
}

if (findBun() === null) installBun();
const bun = findBun();
if (bun === null) {
  console.error(
    `Cannot find Bun for ${process.platform} ${process.arch}. Looked for:\n  ${candidates().join("\n  ")}\n` +
      "Run npm ci in the root of the project.",
  );
  process.exit(1);
}
run(bun);

import { expect } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { sha256 } from "../../runtime/base/digest.ts";
import { systemRandom } from "../../runtime/base/random.ts";
import { minute } from "../../runtime/base/units.ts";

/** The slowest clients (Gradle, a first start of Bazel) take 6 s and 20 s for a build on a free machine. */
const clientMsMax = 3 * minute;

/** What one build said and made. */
export type Build = {
  /** Tasks that the client itself calls taken from the remote cache. */
  readonly hits: number;
  /** Tasks that the client itself calls done anew. */
  readonly misses: number;
  /** SHA-256 in hex of each output, by its path in the project. */
  readonly outputs: Readonly<Record<string, string>>;
  /** Everything the client printed. */
  readonly words: string;
};

/** One client with a fresh project, fresh sources and a home of its own. */
export type Client = {
  /** Tasks in the project: all are misses in a cold build and hits in a warm one. */
  readonly tasks: number;
  build(serverUrl: string): Promise<Build>;
  /** Removes the outputs and everything the client itself keeps between builds. */
  wipe(): void | Promise<void>;
};

/** A client whose outputs can be judged by themselves, without a build to compare them with. */
export type JudgedClient = Client &
  AsyncDisposable & {
    /** Outputs that are missing or were not made from this project's sources. */
    wrongOutputs(): string[];
  };

/** Builds cold, wipes, runs `between` (a restart of the node, say) and builds again. */
export async function coldThenWarm(
  client: Client,
  serverUrl: string,
  between: () => Promise<void> = async () => {},
): Promise<{ cold: Build; warm: Build }> {
  const cold = await client.build(serverUrl);
  await client.wipe();
  await between();
  const warm = await client.build(serverUrl);
  return { cold, warm };
}

/** The proof of every client: nothing was there at first, everything was there afterwards, and it was the same. */
export function expectAllServed(tasks: number, { cold, warm }: { cold: Build; warm: Build }): void {
  expect({ hits: cold.hits, misses: cold.misses }, cold.words).toEqual({ hits: 0, misses: tasks });
  expect({ hits: warm.hits, misses: warm.misses }, warm.words).toEqual({ hits: tasks, misses: 0 });
  expect(Object.keys(cold.outputs).length).toBeGreaterThan(0);
  expect(warm.outputs).toEqual(cold.outputs);
}

/** The same proof must fail for this pair of builds, and for the right reason: not one hit. */
export function expectNothingServed(tasks: number, builds: { cold: Build; warm: Build }): void {
  expect(builds.warm.hits, builds.warm.words).toBe(0);
  expect(builds.warm.misses, builds.warm.words).toBe(tasks);
  expect(() => expectAllServed(tasks, builds)).toThrow();
}

/** A word that no earlier run has put into its sources, so that the cold build is cold. Printed, to repeat a run. */
export function freshWord(client: string): string {
  const word = process.env.KURA_SPEC_WORD ?? Buffer.from(systemRandom.bytes(8)).toString("hex");
  console.log(`${client}: word ${word} (repeat with KURA_SPEC_WORD=${word})`);
  return word;
}

/** Incompressible but for its alphabet, and different for each word. Rounded up to 64 characters. */
export function chanceText(word: string, characters: number): string {
  const parts: string[] = [];
  for (let i = 0; i * 64 < characters; i++) {
    parts.push(new Bun.CryptoHasher("sha256").update(`${word} ${i}`).digest("hex"));
  }
  return parts.join("");
}

/** Writes text files; the paths are relative to the folder. */
export function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
}

/** SHA-256 of the files that exist among `names`. */
export function digestFiles(folder: string, names: readonly string[]): Record<string, string> {
  const digests: Record<string, string> = {};
  for (const name of names) {
    const file = path.join(folder, name);
    if (fs.existsSync(file))
      digests[name] = Buffer.from(sha256(fs.readFileSync(file))).toString("hex");
  }
  return digests;
}

/** Names of files that are missing or lack the text that the sources of this project put into them. */
export function filesWithout(folder: string, texts: Readonly<Record<string, string>>): string[] {
  return Object.entries(texts).flatMap(([name, text]) => {
    const file = path.join(folder, name);
    return fs.existsSync(file) && fs.readFileSync(file).includes(text) ? [] : [name];
  });
}

export function removeAll(folder: string, names: readonly string[]): void {
  for (const name of names) fs.rmSync(path.join(folder, name), { recursive: true, force: true });
}

/**
 * Runs a client with the given environment only, so that nothing of the caller's shell or home reaches it.
 * @throws Error with all it printed when it fails or does not end.
 */
export async function runClient(run: {
  command: readonly string[];
  folder: string;
  env: Readonly<Record<string, string>>;
}): Promise<string> {
  const child = Bun.spawn([...run.command], {
    cwd: run.folder,
    env: { PATH: process.env.PATH ?? "", LANG: "C.UTF-8", ...run.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: clientMsMax,
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const words = Bun.stripANSI(`${stdout}\n${stderr}`);
  if (code === 0) return words;
  throw new Error(`${run.command.join(" ")} ended with ${code} in ${run.folder}:\n${words}`);
}

import fs from "node:fs";
import path from "node:path";
import { installClient, requireProgram } from "../support/client-packages.ts";
import { makeTemporaryFolder } from "../support/node-process.ts";
import {
  type Build,
  chanceText,
  digestFiles,
  filesWithout,
  type JudgedClient,
  removeAll,
  runClient,
  writeFiles,
} from "./flow.ts";

const modules = ["one", "two", "three"] as const;
/** The entry, its modules and Metro's own runtime, which is a module like any other. */
const filesOfBundle = modules.length + 2;
/** Metro uploads transformed sources, so a large artifact needs a large module: chance in hex packs to half. */
const bigModuleCharacters = 3_000_000;

/** What `metro-build.mjs` prints. */
type Counts = {
  hits: number;
  misses: number;
  setsBegun: number;
  setsEnded: number;
  /** Metro turns every trouble with the store into an event and goes on. */
  errors: string[];
};

/** What a build prints whose store gave no trouble: a hit count alone would hide it. */
export const noErrors = '"errors":[]';

/** Metro 0.83.8 with its own HttpStore; `env` is added to what it runs with. */
export async function makeMetroClient(
  word: string,
  env: Readonly<Record<string, string>> = {},
): Promise<JudgedClient> {
  const packages = await installClient({
    metro: "0.83.8",
    "metro-cache": "0.83.8",
    "metro-core": "0.83.8",
  });
  const node = requireProgram("node", "apt-get install nodejs");
  const folder = makeTemporaryFolder("metro");
  const project = path.join(folder, "project");
  writeProject(project, word);
  fs.symlinkSync(path.join(packages, "node_modules"), path.join(project, "node_modules"));
  const home = path.join(folder, "home");
  const state = path.join(folder, "state");
  return {
    tasks: filesOfBundle,
    async build(serverUrl) {
      // Metro keeps more in the temporary folder than in its home.
      for (const made of [home, state, path.join(project, "dist")])
        fs.mkdirSync(made, { recursive: true });
      const script = path.join(import.meta.dir, "metro-build.mjs");
      const words = await runClient({
        command: [node, script, packages, serverUrl, state],
        folder: project,
        env: { HOME: home, TMPDIR: state, NO_COLOR: "1", NODE_ENV: "production", ...env },
      });
      return readBuild(project, words);
    },
    wrongOutputs: () =>
      filesWithout(project, { "dist/bundle.js": chanceText(word, bigModuleCharacters) }),
    wipe() {
      removeAll(project, ["dist"]);
      removeAll(folder, ["home", "state"]);
    },
    async [Symbol.asyncDispose]() {
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

function writeProject(project: string, word: string): void {
  const imports = modules.map((name) => `import { ${name} } from "./${name}.js";`);
  writeFiles(project, {
    "package.json": JSON.stringify({ name: "kura-metro", private: true }),
    "src/index.js": `${imports.join("\n")}\nconsole.log("${word}", ${modules.join(", ")});\n`,
  });
  for (const name of modules) {
    const value = name === "three" ? chanceText(word, bigModuleCharacters) : `${word} ${name}`;
    writeFiles(project, { [`src/${name}.js`]: `export const ${name} = "${value}";\n` });
  }
}

function readBuild(project: string, words: string): Build {
  const line = words.split("\n").find((text) => text.startsWith("METRO "));
  if (line === undefined) throw new Error(`Metro's counts are missing from its output:\n${words}`);
  const counts = JSON.parse(line.slice("METRO ".length)) as Counts;
  return {
    hits: counts.hits,
    misses: counts.misses,
    words,
    outputs: digestFiles(project, ["dist/bundle.js"]),
  };
}

import fs from "node:fs";
import path from "node:path";
import { makeTemporaryFolder, projectFolder } from "../support/node-process.ts";
import {
  type Build,
  digestFiles,
  filesWithout,
  type JudgedClient,
  removeAll,
  runClient,
  writeFiles,
} from "./flow.ts";

/** `Large` takes six parts, so that it becomes a file of its own; the others take one. */
const modules = ["Core", "Large", "Network"] as const;
const outputs = modules.map((name) => `build/${name}.framework`);

/** What `module-build.mjs` prints. */
type Counts = { local: number; hits: number; misses: number; uploaded: number; errors: string[] };

/** A script that does what Tuist does with its module cache; Tuist itself runs on macOS only. */
export async function makeModuleClient(word: string): Promise<JudgedClient> {
  const folder = makeTemporaryFolder("module");
  const project = path.join(folder, "project");
  for (const name of modules) {
    writeFiles(project, { [`src/${name}.swift`]: `let ${name} = "${sourceText(word, name)}"\n` });
  }
  const script = path.join(projectFolder, "spec/clients/module-build.mjs");
  return {
    tasks: modules.length,
    async build(serverUrl) {
      const words = await runClient({
        command: [process.execPath, script, serverUrl, project],
        folder: project,
        env: { HOME: folder },
      });
      return readBuild(project, words);
    },
    wrongOutputs: () =>
      filesWithout(
        project,
        Object.fromEntries(
          modules.map((name) => [`build/${name}.framework`, sourceText(word, name)]),
        ),
      ),
    wipe: () => removeAll(project, ["build", "local-cache"]),
    async [Symbol.asyncDispose]() {
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

function sourceText(word: string, name: string): string {
  return `${word} ${name}`;
}

function readBuild(project: string, words: string): Build {
  const line = words.split("\n").find((text) => text.startsWith("MODULES "));
  if (line === undefined) throw new Error(`The counts are missing from the output:\n${words}`);
  const { hits, misses } = JSON.parse(line.slice("MODULES ".length)) as Counts;
  return { hits, misses, words, outputs: digestFiles(project, outputs) };
}

import fs from "node:fs";
import path from "node:path";
import { requireProgram } from "../support/client-packages.ts";
import { makeTemporaryFolder } from "../support/node-process.ts";
import {
  type Build,
  digestFiles,
  filesWithout,
  type JudgedClient,
  removeAll,
  runClient,
  writeFiles,
} from "./flow.ts";

export const gradleInstallCommand =
  "apt-get install -y --no-install-recommends gradle default-jdk-headless";

const tasks = ["rot1", "rot2", "rot3", "rot4"] as const;
/** The last task's output is over 1 MiB once packed: chance does not compress. */
const bigOutputBytes = 2_000_000;
const outputs = tasks.map((task) => `build/${task}.bin`);

/**
 * The stock HttpBuildCache of Debian's Gradle with tenant and namespace in the path, its local cache off. Each task's
 * output holds chance, so that equal digests can only come from a cache.
 */
export function makeGradleClient(word: string): JudgedClient {
  const gradle = requireProgram("gradle", gradleInstallCommand);
  requireProgram("javac", gradleInstallCommand);
  const folder = makeTemporaryFolder("gradle");
  const project = path.join(folder, "project");
  writeFiles(project, { "build.gradle": buildScript() });
  for (const task of tasks) writeFiles(project, { [`src/${task}.txt`]: `${word} ${task}\n` });
  return {
    tasks: tasks.length,
    async build(serverUrl) {
      writeFiles(project, { "settings.gradle": settings(`${serverUrl}/cache/acme/ios/`) });
      const home = path.join(folder, "home");
      fs.mkdirSync(home, { recursive: true });
      const words = await runClient({
        // Never --offline: it switches the remote build cache off without a word.
        command: [
          ...[gradle, "--no-daemon", "--console=plain", "--build-cache"],
          ...["-g", path.join(home, "gradle"), "all"],
        ],
        folder: project,
        env: { HOME: home, JAVA_OPTS: `-Duser.home=${home}` },
      });
      return readBuild(project, words);
    },
    wrongOutputs() {
      const texts = tasks.map((task) => [`build/${task}.bin`, `${word} ${task}`]);
      return filesWithout(project, Object.fromEntries(texts));
    },
    wipe() {
      removeAll(project, ["build", ".gradle"]);
      removeAll(folder, ["home"]);
    },
    async [Symbol.asyncDispose]() {
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

function settings(cacheUrl: string): string {
  return `
rootProject.name = 'rot'
buildCache {
  local { enabled = false }
  remote(HttpBuildCache) { url = '${cacheUrl}'; push = true }
}
`;
}

function buildScript(): string {
  const declared = tasks.map((task, i) => {
    const bytes = i === tasks.length - 1 ? bigOutputBytes : 100;
    return `task ${task}(type: Rot) { src = file('src/${task}.txt'); dst = file('build/${task}.bin'); chanceBytes = ${bytes} }`;
  });
  return `
@CacheableTask
class Rot extends DefaultTask {
  @InputFile @PathSensitive(PathSensitivity.NONE) File src
  @OutputFile File dst
  @Input int chanceBytes
  @TaskAction void go() {
    byte[] chance = new byte[chanceBytes]
    new Random().nextBytes(chance)
    dst.bytes = src.bytes
    dst.append(chance)
  }
}
${declared.join("\n")}
task all(dependsOn: [${tasks.join(", ")}])
`;
}

/** `:rot1 FROM-CACHE` here, `> Task :rot1 FROM-CACHE` in newer versions; without the word the task has run. */
function readBuild(project: string, words: string): Build {
  const lines = words.split("\n").filter((line) => /^(> Task )?:rot\d( |$)/.test(line));
  const hits = lines.filter((line) => line.endsWith(" FROM-CACHE")).length;
  const misses = lines.filter((line) => /:rot\d$/.test(line)).length;
  return { hits, misses, words, outputs: digestFiles(project, outputs) };
}

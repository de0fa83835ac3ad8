// Run by Node, as Metro is: builds the project in the current folder once and prints, as one line of JSON, what
// Metro's own log counted. Arguments: the folder with Metro's packages, the base URL of the server, a folder for
// Metro's own state.
import { createRequire } from "node:module";
import path from "node:path";

const [packages, serverUrl, state] = process.argv.slice(2);
const require = createRequire(path.join(packages, "package.json"));
const Metro = require("metro");
const { HttpStore } = require("metro-cache");
const { Logger } = require("metro-core");

const uploadMsMax = 20_000;
const counts = { hits: 0, misses: 0, setsBegun: 0, setsEnded: 0, errors: [] };
let wake = () => {};

Logger.on("log", (entry) => {
  if (entry.error_message) counts.errors.push(entry.error_message);
  if (entry.action_name === "Cache hit") counts.hits += 1;
  if (entry.action_name === "Cache miss") counts.misses += 1;
  if (entry.action_name !== "Cache set") return;
  if (entry.action_phase === "start") counts.setsBegun += 1;
  else counts.setsEnded += 1;
  wake();
});

const projectRoot = process.cwd();
const loaded = await Metro.loadConfig({ cwd: projectRoot });
const config = {
  ...loaded,
  projectRoot,
  // Without the project itself here Metro fails with "Failed to get the SHA-1".
  watchFolders: [projectRoot, path.join(packages, "node_modules")],
  maxWorkers: 1,
  resetCache: false,
  fileMapCacheDirectory: state,
  reporter: { update() {} },
  cacheStores: [new HttpStore({ endpoint: `${serverUrl}/api/metro/cache`, debug: true })],
};
await Metro.runBuild(config, {
  entry: "src/index.js",
  out: path.join(projectRoot, "dist/bundle.js"),
  dev: false,
  minify: false,
});

// Metro does not wait for its uploads: leaving now would lose the last ones, which are the largest.
const deadline = setTimeout(() => {
  console.error(`Metro's uploads did not end within ${uploadMsMax} ms: ${JSON.stringify(counts)}`);
  process.exit(1);
}, uploadMsMax);
while (counts.setsEnded < counts.setsBegun || counts.setsBegun < counts.misses) {
  await new Promise((resolve) => {
    wake = resolve;
  });
}
clearTimeout(deadline);
console.log(`METRO ${JSON.stringify(counts)}`);
process.exit(0);

/**
 * Where the files of a compiled binary lie; `bun cli/main.ts` has an ordinary file here instead.
 * @source measured on Bun 1.4.5: `import.meta.dir` of every bundled module is this folder or one below it.
 */
const compiledRoot = "/$bunfs/root";

/**
 * What to hand to `new Worker` so that it starts both from source and in the compiled binary, from any working folder.
 * `sourcePath` is the file's path from the root of the tree; it must be an entry point in `scripts/build.ts`.
 *
 * Measured on Bun 1.4.5: `new URL("./x.ts", import.meta.url)` starts from source but is not found in the binary,
 * where modules are flattened; "./runtime/x.ts" starts in the binary but from source only in the tree's root.
 */
export function workerPath(sourcePath: `runtime/${string}.ts`): string {
  if (import.meta.dir.startsWith(compiledRoot)) {
    return `${compiledRoot}/${sourcePath.replace(/\.ts$/, ".js")}`;
  }
  return new URL(`../../${sourcePath}`, import.meta.url).href;
}

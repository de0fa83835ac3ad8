import { type Finding, importsOf, importTarget, type Source, workersOf } from "./source.ts";

/** Finds files of the runtime that nothing but specs reaches: from cli, scripts or a Worker's path. */
export function checkReachable(sources: readonly Source[]): Finding[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const reached = new Set<string>();
  const queue = sources
    .map((source) => source.path)
    .filter((path) => /^(cli|scripts)\//.test(path));
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    const source = byPath.get(path);
    if (source === undefined || reached.has(path)) continue;
    reached.add(path);
    const targets = importsOf(source).map(({ specifier }) => importTarget(source, specifier));
    queue.push(...targets.filter((target) => target !== null), ...workersOf(source));
  }
  const message = "nothing in cli, scripts or a Worker reaches this file: use it or remove it";
  return sources
    .map((source) => source.path)
    .filter((path) => path.startsWith("runtime/") && !path.endsWith(".d.ts") && !reached.has(path))
    .map((path) => ({ path, line: 1, rule: "unreached", message }));
}

/**
 * Finds unit specs without the source they are about: `spec/unit/a/b.spec.ts` is about `a/b.ts` (`.tsx`, `.mjs`) or
 * the folder `a/b`. What follows the first dot may tell several specs of one source apart.
 */
export function checkMirrors(paths: readonly string[]): Finding[] {
  return paths.flatMap((path) => {
    const subject = path.match(/^spec\/unit\/(.*\/[^./]+)\..*spec\.tsx?$|^spec\/unit\/([^./]+)\./);
    if (subject === null) return [];
    const wanted = subject[1] ?? subject[2] ?? "";
    const files = [".ts", ".tsx", ".mjs"].map((ending) => wanted + ending);
    const isThere = paths.some((other) => files.includes(other) || other.startsWith(`${wanted}/`));
    if (isThere) return [];
    const message = `there is no ${wanted}.ts: give the spec the path of what it is about`;
    return [{ path, line: 1, rule: "mirror", message }];
  });
}

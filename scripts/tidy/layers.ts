import { type Finding, importsOf, importTarget, type Source } from "./source.ts";

type Layer = { readonly level: number; readonly folders: readonly string[] };

/**
 * Who may import whom: a folder imports itself and folders of a lower level, never another one of its own level.
 * @source design, "Layout".
 */
export const layers: readonly Layer[] = [
  { level: 12, folders: ["spec"] },
  { level: 11, folders: ["scripts"] },
  { level: 10, folders: ["spec/support"] },
  { level: 9, folders: ["cli"] },
  { level: 8, folders: ["runtime/server"] },
  { level: 7, folders: ["runtime/surface"] },
  {
    level: 6,
    folders: [
      "runtime/mesh",
      "runtime/auth",
      "runtime/hook",
      "runtime/enrollment",
      "runtime/analytics",
      "runtime/controlplane",
    ],
  },
  { level: 5, folders: ["runtime/catalog"] },
  { level: 4, folders: ["runtime/store"] },
  { level: 3, folders: ["runtime/wire"] },
  { level: 2, folders: ["runtime/observe"] },
  { level: 1, folders: ["runtime/config"] },
  { level: 0, folders: ["runtime/base"] },
];

/** What holds the data is ours to the last line: a package's bug there would be a user's lost artifact. */
const foldersWithoutPackages = ["runtime/store", "runtime/catalog"];

/** Not code: messages of a protocol, and the version of the program. */
const importableByAll = /^(proto\/|package\.json$)/;

type Place = { readonly folder: string; readonly level: number };

function placeOf(file: string): Place | null {
  let place: Place | null = null;
  // From high to low, so that spec/support, which benchmarks may use too, is told from the specs above it.
  for (const { level, folders } of layers) {
    const folder = folders.find((name) => file.startsWith(`${name}/`));
    if (folder !== undefined) place = { folder, level };
  }
  return place;
}

/** Finds imports that go upward or sideways, and packages where none may be. */
export function checkLayers(source: Source): Finding[] {
  const place = placeOf(source.path);
  if (place === null) {
    const message =
      "this folder is in no layer: move the file, or add the folder to the layer table";
    return [{ path: source.path, line: 1, rule: "layer", message }];
  }
  return importsOf(source).flatMap(({ specifier, line }) => {
    const message = judge(source, place, specifier);
    return message === null ? [] : [{ path: source.path, line, rule: "layer", message }];
  });
}

function judge(source: Source, from: Place, specifier: string): string | null {
  const target = importTarget(source, specifier);
  if (target === null) return judgePackage(from, specifier);
  if (importableByAll.test(target)) return null;
  const to = placeOf(target);
  if (to === null) return `${target} is in no layer`;
  if (to.folder === from.folder || to.level < from.level) return null;
  const direction = to.level === from.level ? "sideways" : "upward";
  return (
    `${from.folder} (level ${from.level}) imports ${direction} from ${to.folder} (level ${to.level}): ` +
    "move what both need further down, or pass it in from above"
  );
}

function judgePackage(from: Place, specifier: string): string | null {
  if (!foldersWithoutPackages.includes(from.folder) || /^(node|bun):/.test(specifier)) return null;
  return `${from.folder} imports the package ${specifier}: it uses only bun:, node: and our own code`;
}

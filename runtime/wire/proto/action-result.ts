import { readDigest, type WireDigest } from "./digest.ts";
import { WireReader } from "./wire-reader.ts";

/** What an `ActionResult` names in the content-addressed store. */
export type ActionResultDigests = {
  /** Contents of the output files, in their order. */
  readonly files: readonly WireDigest[];
  /** `Tree` messages of the output directories, each of which names more. */
  readonly trees: readonly WireDigest[];
  /** `Directory` messages at the roots of output directories that have one. */
  readonly roots: readonly WireDigest[];
  readonly stdout: WireDigest | null;
  readonly stderr: WireDigest | null;
  readonly hasExecutionMetadata: boolean;
};

/** Fields of `ActionResult`. Symlinks name nothing in the store. @source remote_execution.proto, version 2. */
const resultFields = {
  outputFiles: 2,
  outputDirectories: 3,
  exitCode: 4,
  stdoutRaw: 5,
  stdoutDigest: 6,
  stderrRaw: 7,
  stderrDigest: 8,
  executionMetadata: 9,
  outputFileSymlinks: 10,
  outputDirectorySymlinks: 11,
  outputSymlinks: 12,
} as const;
const fileFields = { digest: 2 } as const;
const directoryFields = { treeDigest: 3, rootDirectoryDigest: 5 } as const;

/**
 * Reads an `ActionResult` as far as it names blobs. Null when the bytes are none: broken, without a single field of it,
 * with a digest that is not well-formed, an output without a digest, or a digest given twice, as no encoder does.
 * Never throws, and takes time and memory in proportion to the bytes.
 * @source Remote Execution API v2; design.md 3 for what is opaque.
 */
export function parseActionResult(bytes: Uint8Array): ActionResultDigests | null {
  const result = readActionResult(bytes);
  return result?.hasFields === true ? result : null;
}

/** As `parseActionResult`, for bytes that are meant to be a result: one without a field is the result of an action without outputs. */
export function readActionResult(
  bytes: Uint8Array,
): (ActionResultDigests & { readonly hasFields: boolean }) | null {
  const reader = new WireReader(bytes);
  const files: WireDigest[] = [];
  const directories: Directories = { trees: [], roots: [] };
  let stdout: WireDigest | null = null;
  let stderr: WireDigest | null = null;
  let hasExecutionMetadata = false;
  let hasFields = false;
  while (reader.next()) {
    switch (reader.field) {
      case resultFields.outputFiles:
        readFile(reader, files);
        break;
      case resultFields.outputDirectories:
        readDirectory(reader, directories);
        break;
      case resultFields.stdoutDigest:
        stdout = readOnce(reader, stdout);
        break;
      case resultFields.stderrDigest:
        stderr = readOnce(reader, stderr);
        break;
      case resultFields.executionMetadata:
        hasExecutionMetadata = true;
        skipMessage(reader);
        break;
      case resultFields.exitCode:
        reader.passOver();
        break;
      case resultFields.stdoutRaw:
      case resultFields.stderrRaw:
      case resultFields.outputFileSymlinks:
      case resultFields.outputDirectorySymlinks:
      case resultFields.outputSymlinks:
        skipMessage(reader);
        break;
      default:
        reader.passOver();
        continue;
    }
    hasFields = true;
  }
  if (reader.isBroken) return null;
  return { files, ...directories, stdout, stderr, hasExecutionMetadata, hasFields };
}

type Directories = { readonly trees: WireDigest[]; readonly roots: WireDigest[] };

function readFile(reader: WireReader, files: WireDigest[]): void {
  let digest: WireDigest | null = null;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === fileFields.digest) digest = readOnce(reader, digest);
    else reader.passOver();
  }
  reader.leave(outer);
  if (digest === null) reader.breakOff();
  else files.push(digest);
}

function readDirectory(reader: WireReader, { trees, roots }: Directories): void {
  let tree: WireDigest | null = null;
  let root: WireDigest | null = null;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === directoryFields.treeDigest) tree = readOnce(reader, tree);
    else if (reader.field === directoryFields.rootDirectoryDigest) root = readOnce(reader, root);
    else reader.passOver();
  }
  reader.leave(outer);
  if (tree === null && root === null) reader.breakOff();
  if (tree !== null) trees.push(tree);
  if (root !== null) roots.push(root);
}

function readOnce(reader: WireReader, known: WireDigest | null): WireDigest | null {
  if (known !== null) reader.breakOff();
  return readDigest(reader);
}

/** A field that has a length, whatever is in it. */
function skipMessage(reader: WireReader): void {
  reader.leave(reader.enter());
}

import type { CommitChange } from "./copy-change.ts";
import type { StoreFiles } from "./files.ts";
import type { StagedBody } from "./store.ts";

/** The file that a change brings with it, if any. */
export function stagedOf(change: CommitChange): StagedBody | null {
  return change.op !== "put" || change.body instanceof Uint8Array ? null : change.body;
}

/** Removes the file of a body that lost the race or was refused: no record names it. */
export function dropStaged(files: StoreFiles, change: CommitChange): void {
  try {
    const staged = stagedOf(change);
    if (staged !== null) files.removeLarge(staged.file);
  } catch {
    // It stays as a file without a reference, which the next start removes.
  }
}

/** Nobody knows whether records name the files of these changes: they are files like any other from here on. */
export function settleStaged(
  files: StoreFiles,
  changes: readonly { readonly change: CommitChange }[],
): void {
  for (const { change } of changes) {
    const staged = stagedOf(change);
    if (staged !== null) files.settleLarge(staged.file);
  }
}

/** Somebody who keeps data files open by their paths, or may be about to read one. */
export type FileUser = {
  /** Whether bytes of the file are on their way, or soon will be. */
  isUsing(path: string): boolean;
  /** The file goes: close what is idle. */
  drop(path: string): void;
};

/** All who read data files. An open file keeps its space on the disk, whatever became of its name. */
export class FileUsers {
  readonly #users: readonly FileUser[];
  /** The store's own reader, by file number. */
  reader: { isChecking(file: number): boolean; forget(file: number): void } | null = null;

  constructor(users: readonly FileUser[]) {
    this.#users = users;
  }

  isUsed(path: string): boolean {
    return this.#users.some((user) => user.isUsing(path));
  }

  isChecked(file: number): boolean {
    return this.reader?.isChecking(file) ?? false;
  }

  drop(file: number, path: string): void {
    this.reader?.forget(file);
    for (const user of this.#users) user.drop(path);
  }
}

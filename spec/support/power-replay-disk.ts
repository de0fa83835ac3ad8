import fs from "node:fs";
import path from "node:path";
import { type PowerCut, ReplayFile, type Unflushed } from "./power-replay-file.ts";
import type { TracedChange, TraceEvent } from "./power-replay-trace.ts";

type Entry = ReplayFile | ReplayFolder;
type EntryChange = { readonly name: string; readonly entry: Entry | null };

/** Entries of a folder: what is durable, and what came after it. */
class ReplayFolder {
  readonly entries = new Map<string, Entry>();
  readonly #durable = new Map<string, Entry>();
  #unflushed: Unflushed<EntryChange>[] = [];

  begin(change: EntryChange): Unflushed<EntryChange> {
    set(this.entries, change);
    const begun = { change, isEnded: false };
    this.#unflushed.push(begun);
    return begun;
  }

  beginSync(): () => void {
    const covered = new Set(this.#unflushed.filter(({ isEnded }) => isEnded));
    return () => {
      for (const each of covered) set(this.#durable, each.change);
      this.#unflushed = this.#unflushed.filter((each) => !covered.has(each));
    };
  }

  /** Each name holds what one of its changes made of it, or what is durable. */
  survivor({ random }: PowerCut): { entries: ReadonlyMap<string, Entry>; hasLost: boolean } {
    if (this.#unflushed.length === 0) return { entries: this.#durable, hasLost: false };
    const changes = new Map<string, EntryChange[]>();
    for (const { change } of this.#unflushed) {
      changes.set(change.name, [...(changes.get(change.name) ?? []), change]);
    }
    const entries = new Map(this.#durable);
    let hasLost = false;
    for (const ofName of changes.values()) {
      const kept = random.below(ofName.length + 1);
      const last = ofName[kept - 1];
      if (last !== undefined) set(entries, last);
      if (kept < ofName.length) hasLost = true;
    }
    return { entries, hasLost };
  }
}

function set(entries: Map<string, Entry>, { name, entry }: EntryChange): void {
  if (entry === null) entries.delete(name);
  else entries.set(name, entry);
}

export type ReplayDiskOptions = {
  /** Files and folders whose syncs are believed by nobody: the bug that the replay has to find. */
  readonly isSyncIgnored: (path: string) => boolean;
};

export type ImageLosses = {
  /** Some file holds a part of what was not flushed. */
  readonly isTorn: boolean;
  /** Some creation or removal in a folder did not happen. */
  readonly hasLostEntries: boolean;
};

/**
 * A data directory that follows a trace and knows at each moment what a power cut may leave of it: data and size of a
 * file are durable once a sync of it has ended, an entry once its folder was synced, and nothing else is.
 */
export class ReplayDisk {
  readonly #root = new ReplayFolder();
  readonly #options: ReplayDiskOptions;
  readonly #begun = new Map<number, () => void>();

  constructor(options: ReplayDiskOptions = { isSyncIgnored: () => false }) {
    this.#options = options;
  }

  follow({ phase, call, change }: TraceEvent): void {
    if (isShared(change.path)) return;
    if (phase === "begins") {
      this.#begun.set(call, this.#begin(change));
      return;
    }
    this.#begun.get(call)?.();
    this.#begun.delete(call);
  }

  /** Writes one of the directories that a power cut may leave now. */
  writeImage(target: string, cut: PowerCut): ImageLosses {
    const losses = { isTorn: false, hasLostEntries: false };
    const write = (folder: ReplayFolder, at: string): void => {
      fs.mkdirSync(at);
      const left = folder.survivor(cut);
      losses.hasLostEntries ||= left.hasLost;
      for (const [name, entry] of left.entries) {
        if (entry instanceof ReplayFolder) write(entry, path.join(at, name));
        else {
          const file = entry.survivor(cut);
          losses.isTorn ||= file.isTorn;
          fs.writeFileSync(path.join(at, name), file.bytes);
        }
      }
    };
    write(this.#root, target);
    return losses;
  }

  /** Files as programs see them now, by path: what a whole trace must have led to. */
  *visible(): Generator<readonly [path: string, bytes: Uint8Array]> {
    const folders: [string, ReplayFolder][] = [["", this.#root]];
    for (const [at, folder] of folders) {
      for (const [name, entry] of folder.entries) {
        if (entry instanceof ReplayFolder) folders.push([path.join(at, name), entry]);
        else yield [path.join(at, name), entry.visible()];
      }
    }
  }

  /** What the end of the call does. */
  #begin(change: TracedChange): () => void {
    switch (change.at) {
      case "write":
      case "truncate":
        return ending(this.#file(change.path).begin(change));
      case "create": {
        const entry = this.#find(change.path);
        if (entry === null) return this.#put(change.path, new ReplayFile());
        if (!change.isEmptied) return () => {};
        return ending(this.#file(change.path).begin({ at: "truncate", sizeBytes: 0 }));
      }
      case "makeFolder":
        return this.#put(change.path, new ReplayFolder());
      case "remove":
        return this.#put(change.path, null);
      case "sync": {
        const synced = this.#find(change.path);
        if (synced === null || this.#options.isSyncIgnored(change.path)) return () => {};
        return synced.beginSync();
      }
    }
  }

  #put(at: string, entry: Entry | null): () => void {
    const folder = this.#find(path.dirname(at));
    if (!(folder instanceof ReplayFolder)) throw new Error(`The replay has no folder for ${at}`);
    return ending(folder.begin({ name: path.basename(at), entry }));
  }

  #file(at: string): ReplayFile {
    const entry = this.#find(at);
    if (entry instanceof ReplayFile) return entry;
    throw new Error(`The replay has no file ${at}`);
  }

  #find(at: string): Entry | null {
    let entry: Entry | undefined = this.#root;
    for (const name of at.split("/")) {
      if (name === "" || name === ".") continue;
      if (!(entry instanceof ReplayFolder)) return null;
      entry = entry.entries.get(name);
    }
    return entry ?? null;
  }
}

function ending(unflushed: { isEnded: boolean }): () => void {
  return () => {
    unflushed.isEnded = true;
  };
}

/** SQLite's shared memory is changed by mapping, is never synced, and means nothing after a crash; sockets neither. */
export function isShared(at: string): boolean {
  return at.endsWith("-shm") || at.endsWith(".sock");
}

import type { Disk, DiskFile } from "../../runtime/base/disk.ts";
import type { Random } from "../../runtime/base/random.ts";
import { GiB } from "../../runtime/base/units.ts";
import type { SimClock } from "./sim-clock.ts";
import { diskFault, type Failure, PowerIsOff, type SimCalls } from "./sim-disk-calls.ts";
import { SimInode, type SimSync, type Survival } from "./sim-disk-file.ts";
import { SimFolder, type SimTree } from "./sim-disk-tree.ts";

export type SimDiskOptions = {
  readonly calls: SimCalls;
  readonly clock: SimClock;
  /** Chooses how long each call on a pool thread takes, and what a killed process leaves of one. */
  readonly random: Random;
  /** What a power cut keeps or loses as a whole: 512 or 4,096 bytes. */
  readonly blockBytes?: number;
  readonly capacityBytes?: number;
};

/** A call on a pool thread takes up to this long. */
const laterMsMax = 8;

type WriteUnderWay = { readonly inode: SimInode; readonly bytes: Uint8Array; readonly at: number };

type SyncUnderWay = {
  readonly inode: SimInode;
  readonly path: string;
  readonly begun: SimSync;
  readonly failure: Failure | null;
};

/**
 * A disk in memory that forgets what was not flushed. Folder entries are durable once their folder was synced, data
 * and size of a file once the file was. Use one object for one life of a process; `crash` and `kill` give the disk
 * that the next life finds.
 */
export class SimDisk implements Disk {
  readonly #calls: SimCalls;
  readonly #clock: SimClock;
  readonly #random: Random;
  readonly #blockBytes: number;
  readonly #tree: SimTree;
  readonly #underWay = new Set<WriteUnderWay>();
  /** Bytes that fit; may be changed at any time. */
  capacityBytes: number;

  constructor(options: SimDiskOptions, tree: SimTree = new Map([["/", new SimFolder()]])) {
    this.#calls = options.calls;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#blockBytes = options.blockBytes ?? 512;
    this.capacityBytes = options.capacityBytes ?? GiB;
    this.#tree = tree;
  }

  create(path: string): DiskFile {
    this.#begin("create", path, `create ${path}`);
    const { folder, name } = this.#parent(path);
    if (folder.entries.has(name)) throw diskFault(`create ${path}`, "EEXIST");
    const inode = new SimInode(this.#blockBytes);
    folder.entries.set(name, inode);
    return this.#handle(path, inode);
  }

  open(path: string, _access: "read" | "readWrite"): DiskFile | null {
    this.#begin("open", path, `open ${path}`);
    const inode = this.#inodeAt(path);
    return inode === null ? null : this.#handle(path, inode);
  }

  list(folder: string): string[] {
    this.#refuseWhenOff();
    return [...(this.#tree.get(folder)?.entries.keys() ?? [])];
  }

  makeFolder(path: string): void {
    this.#refuseWhenOff();
    let at = "";
    for (const part of path.split("/").slice(1)) {
      const above = this.#tree.get(at === "" ? "/" : at);
      at = `${at}/${part}`;
      if (this.#tree.has(at)) continue;
      above?.entries.set(part, "folder");
      this.#tree.set(at, new SimFolder());
    }
  }

  remove(path: string): boolean {
    this.#begin("remove", path, `remove ${path}`);
    const { folder, name } = this.#parent(path);
    return folder.entries.delete(name);
  }

  rename(from: string, to: string): void {
    this.#begin("rename", from, `rename ${from} to ${to}`);
    const [source, target] = [this.#parent(from), this.#parent(to)];
    const entry = source.folder.entries.get(source.name);
    if (entry === undefined) throw diskFault(`rename ${from} to ${to}`, "ENOENT");
    source.folder.entries.delete(source.name);
    target.folder.entries.set(target.name, entry);
  }

  syncFolder(path: string): void {
    this.#begin("syncFolder", path, `sync folder ${path}`);
    this.#tree.get(path)?.flush();
  }

  syncFolderLater(path: string): Promise<void> {
    return this.#later("syncFolder", path, `sync folder ${path}`, () => {
      const begun = this.#tree.get(path)?.begin();
      return () => begun?.();
    });
  }

  freeBytes(_folder: string): number {
    this.#refuseWhenOff();
    let used = 0;
    for (const folder of this.#tree.values()) used += folder.usedBytes();
    return Math.max(0, this.capacityBytes - used);
  }

  totalBytes(_folder: string): number {
    return this.capacityBytes;
  }

  sizeBytes(path: string): number | null {
    this.#refuseWhenOff();
    return this.#inodeAt(path)?.sizeBytes ?? null;
  }

  /** What the next life finds after a power cut, as a tree for a new SimDisk; this one is left as it is. */
  crash(survival: Survival): SimTree {
    this.#calls.switchOff();
    for (const write of this.#underWay) write.inode.write(write.bytes, write.at);
    this.#underWay.clear();
    const left: SimTree = new Map([["/", new SimFolder()]]);
    this.#copyFolder("/", left, survival);
    return left;
  }

  /** What the next life finds when only the process died: the page cache is whole. */
  kill(): SimTree {
    this.#calls.switchOff();
    for (const { inode, bytes, at } of this.#underWay) {
      inode.write(bytes.subarray(0, this.#random.below(bytes.length + 1)), at);
    }
    this.#underWay.clear();
    return this.#tree;
  }

  /** Everything that a power cut may take, to be counted and enumerated. */
  unflushed(): { blocks: { path: string; block: number }[]; entries: string[]; sizes: string[] } {
    const blocks: { path: string; block: number }[] = [];
    const sizes: string[] = [];
    const entries: string[] = [];
    for (const [path, folder] of this.#tree) {
      for (const name of folder.unflushedNames()) entries.push(`${path}/${name}`);
      for (const [name, entry] of folder.entries) {
        if (entry === "folder") continue;
        const at = `${path}/${name}`;
        for (const block of entry.unflushedBlocks()) blocks.push({ path: at, block });
        if (entry.sizeIsUnflushed) sizes.push(at);
      }
    }
    return { blocks, entries, sizes };
  }

  /** Bytes as they would be sent from a stretch of a file by the kernel. */
  readStretch(path: string, startBytes: number, endBytes: number): Uint8Array {
    const bytes = new Uint8Array(endBytes - startBytes);
    const count = this.#inodeAt(path)?.read(bytes, startBytes) ?? 0;
    return bytes.subarray(0, count);
  }

  #copyFolder(path: string, left: SimTree, survival: Survival): void {
    const from = this.#tree.get(path);
    const into = left.get(path);
    if (from === undefined || into === undefined) return;
    const base = path === "/" ? "" : path;
    for (const [name, entry] of from.survivors((each) => survival.entry(path, each))) {
      const at = `${base}/${name}`;
      if (entry === "folder") {
        into.adopt(name, entry);
        left.set(at, new SimFolder());
        this.#copyFolder(at, left, survival);
      } else into.adopt(name, entry.survivor(at, survival));
    }
  }

  #handle(path: string, inode: SimInode): DiskFile {
    return {
      path,
      read: (into, atBytes) => {
        this.#begin("read", path, `read ${path}`);
        return inode.read(into, atBytes);
      },
      write: (bytes, atBytes) => {
        const failure = this.#calls.begin("write", path);
        this.#land({ inode, bytes, at: atBytes }, path, failure);
      },
      writeLater: (bytes, atBytes) => this.#writeLater(path, { inode, bytes, at: atBytes }),
      sync: () => {
        const failure = this.#calls.begin("sync", path);
        this.#endSync({ inode, path, begun: inode.beginSync(), failure });
      },
      syncLater: () => this.#syncLater(path, inode),
      sizeBytes: () => inode.sizeBytes,
      close: () => {},
    };
  }

  async #writeLater(path: string, write: WriteUnderWay): Promise<void> {
    const failure = this.#calls.begin("write", path);
    this.#underWay.add(write);
    await this.#pause();
    if (!this.#underWay.delete(write)) return;
    this.#land(write, path, failure);
  }

  async #syncLater(path: string, inode: SimInode): Promise<void> {
    const failure = this.#calls.begin("sync", path);
    const begun = inode.beginSync();
    await this.#pause();
    this.#endSync({ inode, path, begun, failure });
  }

  /** Puts bytes into the page cache, or as many of them as fit or as the failure lets through. */
  #land({ inode, bytes, at }: WriteUnderWay, path: string, failure: Failure | null): void {
    const grownBytes = Math.max(0, at + bytes.length - inode.sizeBytes);
    const fits = grownBytes === 0 || this.freeBytes("/") >= grownBytes;
    if (failure === null && fits) {
      inode.write(bytes, at);
      return;
    }
    const share = failure === null ? 0.5 : failure.effect;
    inode.write(bytes.subarray(0, Math.floor(bytes.length * share)), at);
    throw diskFault(`write ${bytes.length} bytes to ${path} at ${at}`, failure?.code ?? "ENOSPC");
  }

  #endSync({ inode, path, begun, failure }: SyncUnderWay): void {
    if (failure === null) {
      inode.endSync(begun);
      return;
    }
    inode.failSync(begun);
    throw diskFault(`sync ${path}`, failure.code);
  }

  async #later(
    kind: "syncFolder",
    path: string,
    what: string,
    start: () => () => void,
  ): Promise<void> {
    const failure = this.#calls.begin(kind, path);
    const end = start();
    await this.#pause();
    if (failure !== null) throw diskFault(what, failure.code);
    end();
  }

  /** Never ends when the power goes off meanwhile: nobody is there to go on. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(this.#random.below(laterMsMax), () => {
        if (!this.#calls.isOff) resolve();
      });
    });
  }

  #begin(
    kind: "create" | "open" | "read" | "remove" | "rename" | "syncFolder",
    path: string,
    what: string,
  ) {
    const failure = this.#calls.begin(kind, path);
    if (failure !== null) throw diskFault(what, failure.code);
  }

  #refuseWhenOff(): void {
    if (this.#calls.isOff) throw new PowerIsOff();
  }

  #inodeAt(path: string): SimInode | null {
    const { folder, name } = split(path);
    const entry = this.#tree.get(folder)?.entries.get(name);
    return entry === undefined || entry === "folder" ? null : entry;
  }

  #parent(path: string): { folder: SimFolder; name: string } {
    const { folder, name } = split(path);
    const found = this.#tree.get(folder);
    if (found === undefined) throw diskFault(`reach ${path}`, "ENOENT");
    return { folder: found, name };
  }
}

function split(path: string): { folder: string; name: string } {
  const at = path.lastIndexOf("/");
  return { folder: at === 0 ? "/" : path.slice(0, at), name: path.slice(at + 1) };
}

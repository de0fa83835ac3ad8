import type { Random } from "../../runtime/base/random.ts";

/** What a power cut keeps or loses as a whole, and the chance behind it. */
export type PowerCut = { readonly random: Random; readonly blockBytes: 512 | 4096 };

type FileChange =
  | { readonly at: "write"; readonly startBytes: number; readonly bytes: Uint8Array }
  | { readonly at: "truncate"; readonly sizeBytes: number };

/** A change that no sync has covered yet. One whose call has not ended is not covered by a sync that begins now. */
export type Unflushed<Change> = { readonly change: Change; isEnded: boolean };

/** Bytes of a file and how many of them count. */
class Content {
  bytes: Uint8Array;
  sizeBytes: number;

  constructor(bytes: Uint8Array, sizeBytes: number) {
    this.bytes = bytes;
    this.sizeBytes = sizeBytes;
  }

  write(from: Uint8Array, startBytes: number): void {
    const endBytes = startBytes + from.length;
    if (endBytes > this.bytes.length) {
      const larger = new Uint8Array(Math.max(endBytes, 2 * this.bytes.length));
      larger.set(this.bytes.subarray(0, this.sizeBytes));
      this.bytes = larger;
    }
    this.bytes.set(from, startBytes);
    this.sizeBytes = Math.max(this.sizeBytes, endBytes);
  }

  resize(sizeBytes: number): void {
    if (sizeBytes < this.sizeBytes) this.bytes.fill(0, sizeBytes, this.sizeBytes);
    if (sizeBytes > this.sizeBytes)
      this.write(new Uint8Array(sizeBytes - this.sizeBytes), this.sizeBytes);
    this.sizeBytes = sizeBytes;
  }

  apply(change: FileChange): void {
    if (change.at === "write") this.write(change.bytes, change.startBytes);
    else this.resize(change.sizeBytes);
  }

  copy(): Content {
    return new Content(this.bytes.slice(0, this.sizeBytes), this.sizeBytes);
  }

  view(): Uint8Array {
    return this.bytes.subarray(0, this.sizeBytes);
  }
}

/** One file: what is durable, and what came after it. */
export class ReplayFile {
  readonly #durable = new Content(new Uint8Array(0), 0);
  #unflushed: Unflushed<FileChange>[] = [];

  begin(change: FileChange): Unflushed<FileChange> {
    const begun = { change, isEnded: false };
    this.#unflushed.push(begun);
    return begun;
  }

  /** What a sync that begins now covers becomes durable by the returned function. */
  beginSync(): () => void {
    const covered = new Set(this.#unflushed.filter(({ isEnded }) => isEnded));
    return () => {
      const rest: Unflushed<FileChange>[] = [];
      for (const each of this.#unflushed) {
        if (covered.has(each)) this.#durable.apply(each.change);
        else rest.push(each);
      }
      this.#unflushed = rest;
    };
  }

  /** What programs see, valid until the next change. */
  visible(): Uint8Array {
    if (this.#unflushed.length === 0) return this.#durable.view();
    const content = this.#durable.copy();
    for (const { change } of this.#unflushed) content.apply(change);
    return content.view();
  }

  /** What a power cut leaves; `isTorn` when that is neither all nor nothing of what was not flushed. */
  survivor(cut: PowerCut): { bytes: Uint8Array; isTorn: boolean } {
    const changes = this.#unflushed.map(({ change }) => change);
    if (changes.length === 0) return { bytes: this.#durable.view(), isTorn: false };
    switch (cut.random.below(4)) {
      case 0:
        return { bytes: this.#durable.view(), isTorn: false };
      case 1:
        return { bytes: this.visible(), isTorn: false };
      case 2:
        return { bytes: this.#inOrder(changes, cut), isTorn: true };
      default:
        return { bytes: this.#inBlocks(changes, cut), isTorn: true };
    }
  }

  /** The system wrote back in order and came as far as some block of some write. */
  #inOrder(changes: readonly FileChange[], { random, blockBytes }: PowerCut): Uint8Array {
    const content = this.#durable.copy();
    const whole = random.below(changes.length);
    for (const change of changes.slice(0, whole)) content.apply(change);
    const last = changes[whole];
    if (last?.at !== "write") return content.view();
    const { startBytes, bytes } = last;
    const firstBlock = Math.floor(startBytes / blockBytes);
    const blocks = Math.ceil((startBytes + bytes.length) / blockBytes) - firstBlock;
    const endBytes = (firstBlock + random.below(blocks + 1)) * blockBytes;
    if (endBytes > startBytes) content.write(bytes.subarray(0, endBytes - startBytes), startBytes);
    return content.view();
  }

  /**
   * Each block was written back at some moment or never, whatever became of its neighbours: it holds the first so many
   * of the writes to it. A lost truncation takes all that came after it along, since file systems log sizes in order.
   */
  #inBlocks(changes: readonly FileChange[], { random, blockBytes }: PowerCut): Uint8Array {
    const reached = changes.slice(0, drawTruncations(changes, random));
    const left = drawVersions(reached, { random, blockBytes });
    const content = this.#durable.copy();
    for (const change of reached) {
      if (change.at === "truncate") {
        content.resize(change.sizeBytes);
        continue;
      }
      for (const [block, startBytes, endBytes] of blocksOf(change, blockBytes)) {
        const versions = left.get(block) ?? 0;
        left.set(block, versions - 1);
        if (versions <= 0) continue;
        const at = change.startBytes;
        content.write(change.bytes.subarray(startBytes - at, endBytes - at), startBytes);
      }
    }
    const seen = new Content(new Uint8Array(0), this.#durable.sizeBytes);
    for (const change of reached) seen.sizeBytes = sizeAfter(seen.sizeBytes, change);
    // The size may be there although its blocks are not: they read as zeros then.
    if (random.below(2) === 0 && seen.sizeBytes > content.sizeBytes) content.resize(seen.sizeBytes);
    return content.view();
  }
}

function sizeAfter(sizeBytes: number, change: FileChange): number {
  if (change.at === "truncate") return change.sizeBytes;
  return Math.max(sizeBytes, change.startBytes + change.bytes.length);
}

/** How many changes come before the first truncation that was lost. */
function drawTruncations(changes: readonly FileChange[], random: Random): number {
  const places = changes.flatMap((change, place) => (change.at === "truncate" ? [place] : []));
  return places[random.below(places.length + 1)] ?? changes.length;
}

/** For each block, how many of the writes to it had happened when it was written back for the last time. */
function drawVersions(
  changes: readonly FileChange[],
  { random, blockBytes }: PowerCut,
): Map<number, number> {
  const counts = new Map<number, number>();
  for (const change of changes) {
    if (change.at === "truncate") continue;
    for (const [block] of blocksOf(change, blockBytes)) {
      counts.set(block, (counts.get(block) ?? 0) + 1);
    }
  }
  const keptOfTen = 1 + 4 * random.below(3);
  for (const [block, count] of counts) {
    if (random.below(10) >= keptOfTen) counts.set(block, random.below(count));
  }
  return counts;
}

/** The blocks a write touches: number, and the stretch of the file in it that is written. */
function* blocksOf(
  { startBytes, bytes }: Extract<FileChange, { at: "write" }>,
  blockBytes: number,
): Generator<[number, number, number]> {
  const endBytes = startBytes + bytes.length;
  for (let block = Math.floor(startBytes / blockBytes); block * blockBytes < endBytes; block++) {
    const from = Math.max(startBytes, block * blockBytes);
    yield [block, from, Math.min(endBytes, (block + 1) * blockBytes)];
  }
}

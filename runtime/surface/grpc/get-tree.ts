import { Fault } from "../../base/fault.ts";
import { nextTurn } from "../../base/turns.ts";
import { MiB } from "../../base/units.ts";
import { quoteText } from "../../catalog/text.ts";
import { readWholeBody } from "../../catalog/whole-body.ts";
import type { Scope } from "../../store/identity.ts";
import type { Call, Replies } from "../../wire/grpc/method.ts";
import { decodeGetTree, encodeTreePage } from "../../wire/proto/cas-messages.ts";
import type { WireDigest } from "../../wire/proto/digest.ts";
import { childDirectories } from "../../wire/proto/directory.ts";
import { bodyDeps, findBlob, isEmpty } from "./blobs.ts";
import { functionOfNumber, needDigest } from "./digests.ts";
import { scopeOf } from "./instance.ts";
import { batchBytesMax } from "./limits.ts";
import { bad, needMessage } from "./requests.ts";
import type { GrpcSurface } from "./surface.ts";

/** Directories of one tree; those behind it are found by the page token. Chromium has 40,000. */
const directoriesMax = 200_000;
/** One directory: 50,000 entries. */
const directoryBytesMax = 4 * MiB;
const decimal = /^[1-9][0-9]{0,8}$/;
const noBytes = new Uint8Array(0);

type Place = { readonly surface: GrpcSurface; readonly call: Call; readonly scope: Scope };

/**
 * Sends the directories of a tree, each once, the root first and then level by level. Children that are not here are
 * left out; a root that is not here is NOT_FOUND. A page token is the count of directories before it, so any node that
 * has the tree goes on where another one stopped.
 */
export async function getTree(
  surface: GrpcSurface,
  call: Call,
  request: Uint8Array,
  replies: Replies,
): Promise<void> {
  const message = needMessage(decodeGetTree(request), "GetTreeRequest");
  const scope = scopeOf(surface, message.instanceName);
  const wanted = functionOfNumber(message.digestFunction);
  const root = needDigest(message.rootDigest, wanted, "root digest");
  const skipCount = parseToken(message.pageToken);
  const endCount = message.pageSize === 0 ? directoriesMax : skipCount + message.pageSize;

  const walk = new TreeWalk({ surface, call, scope }, root);
  let page: Uint8Array[] = [];
  let pageBytes = 0;
  for (;;) {
    const bytes = await walk.next();
    if (bytes === null) return await replies.send(encodeTreePage(page, ""));
    if (walk.count <= skipCount) continue;
    if (page.length > 0 && pageBytes + bytes.length > batchBytesMax) {
      await replies.send(encodeTreePage(page, ""));
      page = [];
      pageBytes = 0;
    }
    page.push(bytes);
    pageBytes += bytes.length;
    if (walk.count < endCount) continue;
    const token = walk.isOver ? "" : String(walk.count);
    return await replies.send(encodeTreePage(page, token));
  }
}

function parseToken(token: string): number {
  if (token === "") return 0;
  if (!decimal.test(token))
    throw bad(`Cannot go on at the page ${quoteText(token)}: ask for the first one`);
  return Number(token);
}

/** Directories between two turns of the loop. */
const readsPerTurn = 64;

/** Goes through a tree, level by level. */
class TreeWalk {
  readonly #place: Place;
  readonly #seen = new Set<string>();
  readonly #waiting: WireDigest[] = [];
  #at = 0;
  /** Directories found so far. */
  count = 0;

  constructor(place: Place, root: WireDigest) {
    this.#place = place;
    this.#seen.add(root.hash);
    this.#waiting.push(root);
  }

  get isOver(): boolean {
    return this.#at === this.#waiting.length;
  }

  /**
   * The next directory that is here, or null at the end.
   * @throws Fault "missing" without the root, "badRequest" for a tree that is larger than any.
   */
  async next(): Promise<Uint8Array | null> {
    for (;;) {
      const digest = this.#waiting[this.#at];
      if (digest === undefined) return null;
      this.#at += 1;
      if (this.#at % readsPerTurn === 0) await nextTurn();
      const bytes = await this.#read(digest);
      if (bytes === null) {
        if (this.count > 0) continue;
        const message = `There is no tree ${digest.hash}/${digest.sizeBytes} in this instance`;
        throw new Fault("missing", message);
      }
      this.#addChildren(digest, bytes);
      this.count += 1;
      return bytes;
    }
  }

  async #read(digest: WireDigest): Promise<Uint8Array | null> {
    if (isEmpty(digest)) return noBytes;
    const { surface, call, scope } = this.#place;
    if (call.signal.aborted) throw new Fault("clientClosed", "The client is gone");
    if (digest.sizeBytes > directoryBytesMax) {
      throw bad(
        `Cannot read the directory ${digest.hash}: ${digest.sizeBytes} bytes exceed the limit of ${directoryBytesMax}`,
      );
    }
    const manifest = findBlob(surface, scope, digest);
    if (manifest === null) return null;
    using body = await readWholeBody(bodyDeps(surface, call), manifest);
    return body === null ? null : body.bytes;
  }

  #addChildren({ hash }: WireDigest, bytes: Uint8Array): void {
    const children = childDirectories(bytes);
    if (children === null) throw bad(`Cannot read the tree: the blob ${hash} is no directory`);
    for (const child of children) {
      if (this.#seen.has(child.hash)) continue;
      if (this.#seen.size >= directoriesMax) {
        throw bad(`Cannot read the tree: it has more than ${directoriesMax} directories`);
      }
      this.#seen.add(child.hash);
      this.#waiting.push(child);
    }
  }
}

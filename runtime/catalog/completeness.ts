import { MiB } from "../base/units.ts";
import type { Scope } from "../store/identity.ts";
import type { Manifest, Store } from "../store/store.ts";
import { type ActionResultDigests, parseActionResult } from "../wire/proto/action-result.ts";
import type { WireDigest } from "../wire/proto/digest.ts";
import { TreeFiles } from "../wire/proto/tree.ts";
import { isEmptyHash, nameBlob } from "./reapi.ts";
import { readWholeBody, type WholeBodyDeps } from "./whole-body.ts";

/**
 * What the stored bytes of an action result are worth: `opaque` bytes are no result and name nothing; an `incomplete`
 * one names what is not here, so that a build that took it for a hit would fail later; `gone` is a body that cannot be
 * read.
 */
export type Verdict = "complete" | "incomplete" | "opaque" | "gone";

export type CompletenessDeps = WholeBodyDeps & {
  readonly store: Pick<Store, "find" | "open" | "vouch">;
};

/** 700,000 files. What cannot be looked through is not vouched for: a result with a larger tree is incomplete. */
const treeBytesMax = 64 * MiB;

/** Look-ups between two turns of the loop: 2 ms when each of them is a statement. */
const lookupsPerTurn = 256;

/**
 * Judges the action result of a manifest, in the scope where its blobs are: output files, trees with all their files,
 * root directories, standard output and error, each with the size that its digest says. Every request asks anew.
 * A tree whose bytes cannot be read as one names nothing more than itself.
 * @throws Fault "overloaded" when there is no memory to read it, "clientClosed", or what the store throws.
 * @source surfaces.md 5.5 and rows 7 and 8 of its section 11.
 */
export async function judgeResult(
  deps: CompletenessDeps,
  scope: Scope,
  manifest: Manifest,
): Promise<Verdict> {
  const result = await readResult(deps, manifest);
  if (result === "gone" || result === "opaque") return result;
  return (await isComplete(deps, scope, result)) ? "complete" : "incomplete";
}

/** Its memory is back before a tree is read: who waits for more while he holds some may wait in vain. */
async function readResult(
  deps: CompletenessDeps,
  manifest: Manifest,
): Promise<ActionResultDigests | "gone" | "opaque"> {
  using body = await readWholeBody(deps, manifest);
  return body === null ? "gone" : (parseActionResult(body.bytes) ?? "opaque");
}

/** Whether all that a result names is here. */
export async function isComplete(
  deps: CompletenessDeps,
  scope: Scope,
  result: ActionResultDigests,
): Promise<boolean> {
  const { files, trees, roots, stdout, stderr } = result;
  const presence = new Presence(deps.store, scope);
  if (stdout !== null && !presence.holds(stdout)) return false;
  if (stderr !== null && !presence.holds(stderr)) return false;
  // Trees last: they must be read, and most results that are incomplete show it before.
  for (const digests of [roots, files]) {
    for (const digest of digests) {
      if (!presence.holds(digest)) return false;
      if (presence.isTurnOver) await presence.nextTurn();
    }
  }
  for (const tree of trees) {
    if (!(await holdsTree(deps, presence, tree))) return false;
  }
  return true;
}

/** Looks blobs up, vouches for those that are here, and counts, so that a long list does not keep the loop. */
class Presence {
  readonly #store: Pick<Store, "find" | "vouch">;
  readonly #scope: Scope;
  #lookups = 0;

  constructor(store: Pick<Store, "find" | "vouch">, scope: Scope) {
    this.#store = store;
    this.#scope = scope;
  }

  holds(digest: WireDigest): boolean {
    return isEmptyDigest(digest) || this.find(digest) !== null;
  }

  find({ digestFunction, hash, sizeBytes }: WireDigest): Manifest | null {
    this.#lookups += 1;
    const manifest = this.#store.find(nameBlob(this.#scope, digestFunction, hash));
    if (manifest === null || manifest.sizeBytes !== sizeBytes) return null;
    // From here on it stays: the client will come for it after the answer.
    this.#store.vouch(manifest);
    return manifest;
  }

  get isTurnOver(): boolean {
    return this.#lookups >= lookupsPerTurn;
  }

  async nextTurn(): Promise<void> {
    this.#lookups = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function isEmptyDigest({ hash, sizeBytes }: WireDigest): boolean {
  return sizeBytes === 0 && isEmptyHash(hash);
}

async function holdsTree(
  deps: CompletenessDeps,
  presence: Presence,
  tree: WireDigest,
): Promise<boolean> {
  if (isEmptyDigest(tree)) return true;
  const manifest = presence.find(tree);
  if (manifest === null) return false;
  if (manifest.sizeBytes > Math.min(treeBytesMax, deps.budget.limitBytes)) return false;
  using body = await readWholeBody(deps, manifest);
  if (body === null) return false;
  const files = new TreeFiles(body.bytes);
  for (let file = files.next(); file !== null; file = files.next()) {
    if (!presence.holds(file)) return false;
    if (presence.isTurnOver) await presence.nextTurn();
  }
  return true;
}

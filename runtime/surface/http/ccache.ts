import { Fault } from "../../base/fault.ts";
import { checkId, checkScopeName, decodeSegment } from "../../catalog/id.ts";
import { ccacheEntry } from "../../catalog/kinds.ts";
import { type ArtifactTarget, artifactTarget } from "../../catalog/target.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { emptyAnswer, jsonAnswer } from "./answer.ts";
import { sendArtifact } from "./download.ts";
import { defineRoute, type Exchange, type Protocol } from "./exchange.ts";
import { commit, storeArtifact } from "./upload.ts";

/**
 * ccache's HTTP storage in its three layouts: `flat` (`KEY`), `subdirs` (`KE/Y`, its default) and `bazel` (`ac/` and
 * 64 hex digits). Flat and subdirs meet in one key, so that a team may change the layout and keep its entries; a bazel
 * key is spelt in other digits, so it stays by itself.
 * @source clients.md 7.
 */
const prefix = "/ccache/";
const template = "/ccache/{tenant}/{namespace}/{key}";

const route = defineRoute(template, { GET: read, HEAD: read, PUT: write, DELETE: remove });

export const ccache: Protocol = {
  routes: [route],
  find: (path) => (path.startsWith(prefix) ? route : null),
};

/** Characters of a key that name its folder in the layout `subdirs`. */
const subfolderChars = 2;
const bazelFolder = "ac";
const bazelHash = /^[0-9a-f]{64}$/;

function targetOf({ path, surface }: Exchange, action: "read" | "write"): ArtifactTarget {
  const [tenant = "", namespace = "", ...rest] = path.slice(prefix.length).split("/");
  const scope = surface.scopes.of(
    checkScopeName(decodeSegment(tenant), "the tenant"),
    checkScopeName(decodeSegment(namespace), "the namespace"),
  );
  const { producer } = ccacheEntry;
  return artifactTarget(action, { producer, scope, key: keyOf(rest) });
}

function keyOf(segments: readonly string[]): string {
  const [first = "", second] = segments.map((segment) => {
    return checkId(decodeSegment(segment), "a part of the key");
  });
  if (segments.length === 1) return first;
  const isSplit = segments.length === 2 && first.length === subfolderChars;
  if (!isSplit || second === undefined) {
    const message = "Cannot read the key: ccache sends KEY, KE/Y or ac/HASH behind the namespace";
    throw new Fault("badRequest", message);
  }
  const isBazel = first === bazelFolder && bazelHash.test(second);
  // Joined, it has at most 514 bytes, for which a row has room.
  return isBazel ? `${first}/${second}` : `${first}${second}`;
}

function read(exchange: Exchange): Answer | Promise<Answer> {
  return sendArtifact(exchange, targetOf(exchange, "read"), ccacheEntry);
}

/** ccache writes a manifest anew whenever it learns of another result for it. */
function write(exchange: Exchange): Answer | Promise<Answer> {
  return storeArtifact(exchange, targetOf(exchange, "write"), {
    kind: ccacheEntry,
    limitBytes: exchange.surface.config.ccacheBytesMax,
    storedStatus: 200,
    existsStatus: 200,
  });
}

/** ccache removes an entry that it found damaged. */
async function remove(exchange: Exchange): Promise<Answer> {
  const target = targetOf(exchange, "write");
  exchange.target = target;
  const { name } = target;
  const store = exchange.surface.store();
  const outcome = await commit(store, { op: "delete", name, kind: ccacheEntry.kind });
  if (outcome.at === "deleted") return emptyAnswer(exchange, 204);
  return jsonAnswer(exchange, 404, "There is no artifact under this key");
}

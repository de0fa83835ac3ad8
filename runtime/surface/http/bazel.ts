import { unreachable } from "../../base/assert.ts";
import { type DigestFunction, functionOfHash } from "../../base/digest-function.ts";
import { Fault } from "../../base/fault.ts";
import { judgeResult, type Verdict } from "../../catalog/completeness.ts";
import { checkId, checkInstanceName, decodeSegment } from "../../catalog/id.ts";
import { actionResult, reapiBlob } from "../../catalog/kinds.ts";
import {
  actionKey,
  actionResultBytesMax,
  blobKey,
  defaultInstance,
  isEmptyHash,
} from "../../catalog/reapi.ts";
import { type ArtifactTarget, artifactTarget } from "../../catalog/target.ts";
import { quoteText } from "../../catalog/text.ts";
import type { Slice } from "../../catalog/whole-body.ts";
import type { Scope } from "../../store/identity.ts";
import type { Manifest } from "../../store/store.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { asStoreFault, jsonAnswer } from "./answer.ts";
import { countRead, readSlice, sendArtifact, sendFound, sendMiss } from "./download.ts";
import { keepEmpty, sendEmpty } from "./empty-blob.ts";
import { defineRoute, type Exchange, type Protocol } from "./exchange.ts";
import { findArtifact, resultOf, storeArtifact } from "./upload.ts";

/**
 * Bazel's HTTP cache, which moon speaks too: blobs under `/cas/`, whose hash is checked, and action results under
 * `/ac/`, with any path before them. That path is the instance name, so that blobs and results are those of the Remote
 * Execution API. A result is a hit only while all that it names is here; bytes that are no result are sent as they are.
 * @source design.md 3, clients.md 2 and 3.
 */
const casFolder = "/cas";
const acFolder = "/ac";

/** First parts of the paths of our other surfaces: an instance of such a name could not be told from them. */
const reservedNames = new Set(["api", "v1", "v8", "cache", "ccache", "_internal"]);

const casRoute = defineRoute("/{instance}/cas/{hash}", {
  GET: readBlob,
  HEAD: readBlob,
  PUT: writeBlob,
});
const acRoute = defineRoute("/{instance}/ac/{hash}", {
  GET: readResult,
  HEAD: readResult,
  PUT: writeResult,
});

/** Takes every path with `/cas/` or `/ac/` before its last segment, so it stands behind all other protocols. */
export const bazel: Protocol = {
  routes: [casRoute, acRoute],
  find(path) {
    const cut = path.lastIndexOf("/");
    if (path.endsWith(casFolder, cut)) return casRoute;
    return path.endsWith(acFolder, cut) ? acRoute : null;
  },
};

type Address = {
  readonly scope: Scope;
  readonly digestFunction: DigestFunction;
  readonly hash: string;
};

function addressOf({ path, surface }: Exchange, folder: string): Address {
  const cut = path.lastIndexOf("/");
  const hash = decodeSegment(path.slice(cut + 1));
  const digestFunction = functionOfHash(hash);
  if (digestFunction === null) {
    throw bad(
      `Cannot read the digest ${quoteText(hash)}: give lower-case hex of SHA-256 (64 digits), SHA-1 (40), SHA-384 (96) or SHA-512 (128)`,
    );
  }
  const instance = parseInstance(path.slice(0, cut - folder.length));
  return {
    scope: surface.scopes.of(surface.status.identity.tenant, instance),
    digestFunction,
    hash,
  };
}

/**
 * The instance name in a raw path. Empty segments count for nothing, as in resource names of the Remote Execution API:
 * a configured URL that ends with a slash makes them.
 */
function parseInstance(path: string): string {
  if (path === "") return defaultInstance;
  const segments = path.split("/").filter((segment) => segment !== "");
  if (segments.length === 0) return defaultInstance;
  const names = segments.map((segment) => {
    return checkId(decodeSegment(segment), "a part of the instance name");
  });
  const [first = ""] = names;
  if (reservedNames.has(first.toLowerCase())) {
    throw bad(
      `Cannot use ${quoteText(first)} as the beginning of an instance name: such paths belong to other tools; choose another name`,
    );
  }
  return checkInstanceName(names.join("/"), "the instance name");
}

function blobTarget(address: Address, action: "read" | "write"): ArtifactTarget {
  const { scope, digestFunction, hash } = address;
  const key = blobKey(digestFunction, hash);
  return artifactTarget(action, { producer: reapiBlob.producer, scope, key });
}

function resultTarget(exchange: Exchange, action: "read" | "write"): ArtifactTarget {
  const { scope, digestFunction, hash } = addressOf(exchange, acFolder);
  const key = actionKey(digestFunction, hash);
  return artifactTarget(action, { producer: actionResult.producer, scope, key });
}

function readBlob(exchange: Exchange): Answer | Promise<Answer> {
  const address = addressOf(exchange, casFolder);
  if (isEmptyHash(address.hash)) return sendEmpty(exchange, reapiBlob);
  return sendArtifact(exchange, blobTarget(address, "read"), reapiBlob);
}

function writeBlob(exchange: Exchange): Answer | Promise<Answer> {
  const address = addressOf(exchange, casFolder);
  const { digestFunction, hash } = address;
  if (isEmptyHash(hash)) return keepEmpty(exchange, reapiBlob);
  return storeArtifact(exchange, blobTarget(address, "write"), {
    kind: reapiBlob,
    limitBytes: exchange.surface.config.blobBytesMax,
    storedStatus: 200,
    existsStatus: 200,
    named: { digestFunction, bytes: new Uint8Array(Buffer.from(hash, "hex")) },
  });
}

/** What a result names may come later: replication and clients bring blobs and results in any order. */
function writeResult(exchange: Exchange): Answer | Promise<Answer> {
  return storeArtifact(exchange, resultTarget(exchange, "write"), {
    kind: actionResult,
    limitBytes: actionResultBytesMax,
    storedStatus: 200,
    existsStatus: 200,
  });
}

/** HEAD is judged like GET: a result that GET would not give is not there. */
function readResult(exchange: Exchange): Answer | Promise<Answer> {
  const target = resultTarget(exchange, "read");
  exchange.target = target;
  try {
    const manifest = findArtifact(exchange.surface.store(), target.name);
    if (manifest === null) return sendMiss(exchange, actionResult);
    return sendJudged(exchange, target.scope, manifest);
  } catch (error) {
    countRead(exchange, actionResult, resultOf(error));
    throw error;
  }
}

/** Sends the very bytes that were judged, also when they are replaced meanwhile. */
async function sendJudged(exchange: Exchange, scope: Scope, manifest: Manifest): Promise<Answer> {
  try {
    const verdict = await judge(exchange, scope, manifest);
    switch (verdict) {
      case "complete":
      case "opaque":
        return sendFound(exchange, actionResult, manifest);
      case "gone":
        return sendMiss(exchange, actionResult);
      case "incomplete":
        countRead(exchange, actionResult, "incomplete");
        return jsonAnswer(exchange, 404, "Blobs that this action result names are not here");
      default:
        return unreachable(verdict);
    }
  } catch (error) {
    countRead(exchange, actionResult, resultOf(error));
    throw error;
  }
}

async function judge(exchange: Exchange, scope: Scope, manifest: Manifest): Promise<Verdict> {
  const { request, surface } = exchange;
  const { reads: budget, files } = surface;
  const readStretch = (slice: Slice): Promise<Uint8Array | null> =>
    readSlice(files, slice, request);
  try {
    const deps = { store: surface.store(), readSlice: readStretch, budget, signal: request.signal };
    return await judgeResult(deps, scope, manifest);
  } catch (error) {
    throw asStoreFault(error);
  }
}

function bad(message: string): Fault {
  return new Fault("badRequest", message);
}

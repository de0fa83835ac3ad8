import { checkId, checkScopeName, decodeSegment } from "../../catalog/id.ts";
import { turborepoEntry } from "../../catalog/kinds.ts";
import { type ArtifactTarget, artifactTarget } from "../../catalog/target.ts";
import type { Scope } from "../../store/identity.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { dataAnswer } from "./answer.ts";
import { sendArtifact } from "./download.ts";
import { defineRoute, type Exchange, type Protocol } from "./exchange.ts";
import { readParameters } from "./query.ts";
import { receiveSmall } from "./receive-small.ts";
import { parseEvents, parseHashes, turborepoJsonBytesMax } from "./turborepo-documents.ts";
import {
  artifactDurationHeader,
  artifactTagHeader,
  readArtifactHeaders,
} from "./turborepo-headers.ts";
import { findArtifact, storeArtifact } from "./upload.ts";

/**
 * Turborepo's remote cache, version 8 of Vercel's API. Artifacts lie in the node's tenant; the namespace is the team.
 * A client names its team by `teamId`, by `slug` or by both: the id wins, because it stays when a team is renamed, so
 * a team lands in one namespace as long as all its machines give the id, or all give only the slug.
 * @source clients.md 9; Vercel REST API, "Artifacts".
 */
const collectionPath = "/v8/artifacts";
const prefix = `${collectionPath}/`;
const statusPath = `${prefix}status`;
const eventsPath = `${prefix}events`;
const namespaceWithoutTeam = "turborepo";

const statusOk = 200;
const statusAccepted = 202;

const statusRoute = defineRoute(statusPath, { GET: tellStatus });
const eventsRoute = defineRoute(eventsPath, { POST: countEvents });
const collectionRoute = defineRoute(collectionPath, { POST: describeAll });
const entryRoute = defineRoute("/v8/artifacts/{hash}", { GET: read, HEAD: read, PUT: write });

export const turborepo: Protocol = {
  routes: [entryRoute, statusRoute, eventsRoute, collectionRoute],
  find(path) {
    if (!path.startsWith(collectionPath)) return null;
    if (path === collectionPath) return collectionRoute;
    if (path === statusPath) return statusRoute;
    if (path === eventsPath) return eventsRoute;
    return path.startsWith(prefix) ? entryRoute : null;
  },
};

/** Parsed for every request: the memory of `scopeOfQuery` holds other meanings of the same texts. */
function scopeOfTeam({ query, surface }: Exchange): Scope {
  const { teamId, slug } = readParameters(query, ["teamId", "slug"]);
  if (teamId !== null && teamId !== "") checkScopeName(teamId, "teamId");
  if (slug !== null && slug !== "") checkScopeName(slug, "slug");
  const namespace = teamId || slug || namespaceWithoutTeam;
  return surface.scopes.of(surface.status.identity.tenant, namespace);
}

function targetOf(exchange: Exchange, action: "read" | "write"): ArtifactTarget {
  const scope = scopeOfTeam(exchange);
  const key = checkId(decodeSegment(exchange.path.slice(prefix.length)), "the hash");
  return artifactTarget(action, { producer: turborepoEntry.producer, scope, key });
}

function read(exchange: Exchange): Answer | Promise<Answer> {
  return sendArtifact(exchange, targetOf(exchange, "read"), turborepoEntry);
}

async function write(exchange: Exchange): Promise<Answer> {
  await storeArtifact(exchange, targetOf(exchange, "write"), {
    kind: turborepoEntry,
    limitBytes: exchange.surface.config.turborepoBytesMax,
    storedStatus: statusAccepted,
    existsStatus: statusAccepted,
    attributes: readArtifactHeaders(exchange.request.headers),
  });
  // Where the artifact was put. Vercel names addresses here that no client asks for.
  return dataAnswer(exchange, statusAccepted, { urls: [] });
}

/** Asked at the start of a run: with anything else the client does without a remote cache. */
function tellStatus(exchange: Exchange): Answer {
  scopeOfTeam(exchange);
  return dataAnswer(exchange, statusOk, { status: "enabled" });
}

async function countEvents(exchange: Exchange): Promise<Answer> {
  scopeOfTeam(exchange);
  using received = await receiveSmall({ exchange, limitBytes: turborepoJsonBytesMax });

  const events = parseEvents(received.bytes);
  const { metrics } = exchange.surface;
  for (const { source, outcome } of events) metrics.turborepoEvent(source, outcome);
  return dataAnswer(exchange, statusOk, {});
}

/** Size, duration and tag of many artifacts at once; null for what is not there. */
async function describeAll(exchange: Exchange): Promise<Answer> {
  const scope = scopeOfTeam(exchange);
  const store = exchange.surface.store();
  using received = await receiveSmall({ exchange, limitBytes: turborepoJsonBytesMax });

  const described = parseHashes(received.bytes).map((hash) => {
    const { producer } = turborepoEntry;
    const { name } = artifactTarget("read", { producer, scope, key: hash });
    const manifest = findArtifact(store, name);
    if (manifest === null) return [hash, null] as const;
    const attributes = store.attributes(manifest);
    if (attributes === null) return [hash, null] as const;
    const tag = attributes[artifactTagHeader];
    const description = {
      size: manifest.sizeBytes,
      taskDurationMs: Number(attributes[artifactDurationHeader] ?? 0),
      ...(tag === undefined ? {} : { tag }),
    };
    return [hash, description] as const;
  });
  return dataAnswer(exchange, statusOk, Object.fromEntries(described));
}

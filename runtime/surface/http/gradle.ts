import { checkId, checkScopeName, decodeSegment } from "../../catalog/id.ts";
import { gradleEntry } from "../../catalog/kinds.ts";
import { type ArtifactTarget, artifactTarget } from "../../catalog/target.ts";
import type { Scope } from "../../store/identity.ts";
import { sendArtifact } from "./download.ts";
import { defineRoute, type Exchange, type Operation, type Protocol } from "./exchange.ts";
import { scopeOfQuery } from "./query.ts";
import { storeArtifact } from "./upload.ts";

/**
 * Gradle's build cache in two dialects over one keyspace. The Tuist plugin names tenant and namespace in the query.
 * A stock `HttpBuildCache` drops the query of its URL, so there they stand in the path: `/cache/{tenant}/{namespace}/`,
 * or nowhere: `/cache/` is the namespace `gradle` of the node's tenant.
 * @source surfaces.md 4.3, clients.md 6.
 */
const tuistPrefix = "/api/cache/gradle/";
const stockPrefix = "/cache/";
const stockNamespace = "gradle";

type TargetOf = (exchange: Exchange, action: "read" | "write") => ArtifactTarget;

const tuistRoute = defineRoute("/api/cache/gradle/{cache_key}", operations(tuistTarget));
const stockRoute = defineRoute("/cache/{key}", operations(stockTarget));
const scopedRoute = defineRoute("/cache/{tenant}/{namespace}/{key}", operations(scopedTarget));

export const gradle: Protocol = {
  routes: [tuistRoute, stockRoute, scopedRoute],
  find(path) {
    if (path.startsWith(tuistPrefix)) return tuistRoute;
    if (!path.startsWith(stockPrefix)) return null;
    const segments = path.split("/", 6).length - 2;
    if (segments === 3) return scopedRoute;
    // A slash at the end is an empty id, or what the ids . and .. were made into: as a key it is refused.
    return segments === 1 || path.endsWith("/") ? stockRoute : null;
  },
};

function operations(targetOf: TargetOf): Record<string, Operation> {
  const read: Operation = (exchange) =>
    sendArtifact(exchange, targetOf(exchange, "read"), gradleEntry);
  const write: Operation = (exchange) =>
    storeArtifact(exchange, targetOf(exchange, "write"), {
      kind: gradleEntry,
      limitBytes: exchange.surface.config.gradleBytesMax,
      storedStatus: 201,
      existsStatus: 200,
    });
  return { GET: read, HEAD: read, PUT: write };
}

function tuistTarget(exchange: Exchange, action: "read" | "write"): ArtifactTarget {
  const key = exchange.path.slice(tuistPrefix.length);
  return makeTarget(action, scopeOfQuery(exchange), key);
}

function stockTarget(exchange: Exchange, action: "read" | "write"): ArtifactTarget {
  const { scopes, status } = exchange.surface;
  const scope = scopes.of(status.identity.tenant, stockNamespace);
  return makeTarget(action, scope, exchange.path.slice(stockPrefix.length));
}

function scopedTarget(exchange: Exchange, action: "read" | "write"): ArtifactTarget {
  const [tenant = "", namespace = "", key = ""] = exchange.path
    .slice(stockPrefix.length)
    .split("/");
  const scope = exchange.surface.scopes.of(
    checkScopeName(decodeSegment(tenant), "the tenant"),
    checkScopeName(decodeSegment(namespace), "the namespace"),
  );
  return makeTarget(action, scope, key);
}

function makeTarget(action: "read" | "write", scope: Scope, segment: string): ArtifactTarget {
  const key = checkId(decodeSegment(segment), "the cache key");
  return artifactTarget(action, { producer: gradleEntry.producer, scope, key });
}

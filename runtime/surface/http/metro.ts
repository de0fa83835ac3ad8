import { checkId, decodeSegment } from "../../catalog/id.ts";
import { metroEntry } from "../../catalog/kinds.ts";
import { type ArtifactTarget, artifactTarget } from "../../catalog/target.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { sendArtifact } from "./download.ts";
import { defineRoute, type Exchange, type Protocol } from "./exchange.ts";
import { storeArtifact } from "./upload.ts";

/**
 * Metro's `HttpStore`. It names no tenant, so its artifacts lie in the namespace `metro` of the node's tenant. Bodies
 * are gzip streams that come chunked and go back as they came, without a Content-Encoding.
 * @source surfaces.md 4.6, clients.md 5.
 */
const prefix = "/api/metro/cache/";
const namespace = "metro";

const route = defineRoute(
  "/api/metro/cache/{cache_key}",
  { GET: read, HEAD: read, PUT: write },
  { form: "metro" },
);

export const metro: Protocol = {
  routes: [route],
  find: (path) => (path.startsWith(prefix) ? route : null),
};

function targetOf({ path, surface }: Exchange, action: "read" | "write"): ArtifactTarget {
  const scope = surface.scopes.of(surface.status.identity.tenant, namespace);
  const key = checkId(decodeSegment(path.slice(prefix.length)), "the cache key");
  return artifactTarget(action, { producer: metroEntry.producer, scope, key });
}

function read(exchange: Exchange): Answer | Promise<Answer> {
  return sendArtifact(exchange, targetOf(exchange, "read"), metroEntry);
}

function write(exchange: Exchange): Answer | Promise<Answer> {
  return storeArtifact(exchange, targetOf(exchange, "write"), {
    kind: metroEntry,
    limitBytes: exchange.surface.config.metroBytesMax,
    storedStatus: 200,
    existsStatus: 200,
  });
}

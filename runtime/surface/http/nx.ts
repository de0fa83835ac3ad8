import { checkId, decodeSegment } from "../../catalog/id.ts";
import { nxEntry } from "../../catalog/kinds.ts";
import { type ArtifactTarget, artifactTarget } from "../../catalog/target.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { sendArtifact } from "./download.ts";
import { defineRoute, type Exchange, type Protocol } from "./exchange.ts";
import { storeArtifact } from "./upload.ts";

/**
 * Nx's self-hosted cache. It names no tenant, so its artifacts lie in the namespace `nx` of the node's tenant.
 * Nx fails the build on any status it does not know: `answer.ts` hides from it what is not its own fault.
 * @source surfaces.md 4.5, clients.md 4.
 */
const prefix = "/v1/cache/";
const namespace = "nx";

const route = defineRoute(
  "/v1/cache/{hash}",
  { GET: read, HEAD: read, PUT: write },
  { form: "nx" },
);

export const nx: Protocol = {
  routes: [route],
  find: (path) => (path.startsWith(prefix) ? route : null),
};

function targetOf({ path, surface }: Exchange, action: "read" | "write"): ArtifactTarget {
  const scope = surface.scopes.of(surface.status.identity.tenant, namespace);
  const key = checkId(decodeSegment(path.slice(prefix.length)), "the hash");
  return artifactTarget(action, { producer: nxEntry.producer, scope, key });
}

function read(exchange: Exchange): Answer | Promise<Answer> {
  return sendArtifact(exchange, targetOf(exchange, "read"), nxEntry);
}

function write(exchange: Exchange): Answer | Promise<Answer> {
  return storeArtifact(exchange, targetOf(exchange, "write"), {
    kind: nxEntry,
    limitBytes: exchange.surface.config.nxBytesMax,
    storedStatus: 200,
    existsStatus: 200,
  });
}

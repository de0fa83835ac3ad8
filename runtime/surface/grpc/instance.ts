import { checkInstanceName } from "../../catalog/id.ts";
import { defaultInstance } from "../../catalog/reapi.ts";
import { quoteText } from "../../catalog/text.ts";
import type { Scope } from "../../store/identity.ts";
import { bad } from "./requests.ts";
import type { GrpcSurface } from "./surface.ts";

/** Words that begin the other parts of a resource name, so that no instance may have them as a part of its name. */
const resourceWords = new Set(["blobs", "uploads", "compressed-blobs"]);

/**
 * The scope of an instance name: the node's tenant and the name as namespace, "default" for none.
 * @throws Fault "badRequest" for a name that could not be told from the rest of a resource name.
 */
export function scopeOf(surface: GrpcSurface, instanceName: string): Scope {
  if (last?.surface === surface && last.instanceName === instanceName) return last.scope;
  const scope = findScope(surface, instanceName);
  last = { surface, instanceName, scope };
  return scope;
}

/** Nearly all calls are for one instance. */
let last: { surface: GrpcSurface; instanceName: string; scope: Scope } | null = null;

function findScope({ scopes, status }: GrpcSurface, instanceName: string): Scope {
  const tenant = status.identity.tenant;
  if (instanceName === "") return scopes.of(tenant, defaultInstance);
  const segments = instanceName.split("/").filter((segment) => segment !== "");
  const reserved = segments.find((segment) => resourceWords.has(segment));
  if (reserved !== undefined) {
    throw bad(
      `Cannot use ${quoteText(instanceName)} as the instance name: ${quoteText(reserved)} has a meaning of its own in resource names`,
    );
  }
  return scopes.of(tenant, checkInstanceName(segments.join("/"), "the instance name"));
}

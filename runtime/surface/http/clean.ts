import { cleanTarget } from "../../catalog/target.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { emptyAnswer } from "./answer.ts";
import { defineRoute, type Exchange, type Protocol } from "./exchange.ts";
import { scopeOfClean } from "./query.ts";
import { commit } from "./upload.ts";

/**
 * Empties one scope for all producers. Without a namespace that is the tenant's own scope and nothing else.
 * @source surfaces.md 4.7.
 */
const path = "/api/cache/clean";

const route = defineRoute(path, { DELETE: clean });

export const namespaceClean: Protocol = {
  routes: [route],
  find: (wanted) => (wanted === path ? route : null),
};

async function clean(exchange: Exchange): Promise<Answer> {
  const scope = scopeOfClean(exchange);
  exchange.target = cleanTarget(scope);
  await commit(exchange.surface.store(), { op: "clean", scope });
  return emptyAnswer(exchange, 204);
}

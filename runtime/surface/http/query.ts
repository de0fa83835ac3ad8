import { Fault } from "../../base/fault.ts";
import { parametersMax } from "../../base/limits.ts";
import { checkInstanceName, checkScopeName } from "../../catalog/id.ts";
import { quoteText } from "../../catalog/text.ts";
import type { Scope } from "../../store/identity.ts";
import type { Exchange } from "./exchange.ts";

/** Longer queries are decoded each time, so that the memory of `scopesByQuery` stays small. */
const keptQueryCharsMax = 512;

/** Tenant and namespace as the request named them, decoded; null where a name was not given at all. */
type ScopeNames = {
  tenant_id: string | null;
  account_handle: string | null;
  namespace_id: string | null;
  project_handle: string | null;
};

/**
 * The scope that the query names: `tenant_id` or its alias `account_handle`, and `namespace_id` or `project_handle`.
 * The canonical name beats its alias even when it is empty; an empty tenant is a missing one; without a namespace the
 * scope is the tenant's own. Unknown parameters are ignored.
 * @throws Fault "badRequest" for a missing tenant, a repeated parameter, or a name that breaks the rule for ids.
 */
export function scopeOfQuery(exchange: Exchange): Scope {
  const { query, surface } = exchange;
  const known = surface.scopesByQuery.get(query);
  if (known !== undefined) return known;
  const scope = parseScope(exchange, checkScopeName);
  if (query.length <= keptQueryCharsMax) surface.scopesByQuery.set(query, scope);
  return scope;
}

/** The same for a clean, whose namespace may be a REAPI instance name with slashes. */
export function scopeOfClean(exchange: Exchange): Scope {
  return parseScope(exchange, checkInstanceName);
}

type NameCheck = (name: string, what: string) => string;

function parseScope({ query, surface }: Exchange, checkNamespace: NameCheck): Scope {
  const names = parseNames(query);
  const tenant = names.tenant_id ?? names.account_handle ?? "";
  if (tenant === "") {
    throw bad("Cannot tell the tenant: add ?tenant_id=<tenant> (or account_handle) to the URL");
  }
  checkScopeName(tenant, "tenant_id");
  const namespace = names.namespace_id ?? names.project_handle ?? "";
  if (namespace !== "") checkNamespace(namespace, "namespace_id");
  return surface.scopes.of(tenant, namespace);
}

function parseNames(query: string): ScopeNames {
  const names: ScopeNames = {
    tenant_id: null,
    account_handle: null,
    namespace_id: null,
    project_handle: null,
  };
  let start = 0;
  for (let count = 0; start < query.length; count++) {
    if (count === parametersMax) throw bad(`Cannot read more than ${parametersMax} parameters`);
    const next = query.indexOf("&", start);
    const end = next === -1 ? query.length : next;
    if (end > start) takeParameter(query.slice(start, end), names);
    start = end + 1;
  }
  return names;
}

function takeParameter(pair: string, names: ScopeNames): void {
  const equals = pair.indexOf("=");
  const name = tryDecodePart(equals === -1 ? pair : pair.slice(0, equals));
  switch (name) {
    case "tenant_id":
    case "account_handle":
    case "namespace_id":
    case "project_handle":
      // Two values for one name: whichever we took, somebody in front of us may have checked the other.
      if (names[name] !== null) throw bad(`Cannot choose between two values of ${name}: give one`);
      names[name] = equals === -1 ? "" : decodeValue(pair.slice(equals + 1));
  }
}

function decodeValue(text: string): string {
  const value = tryDecodePart(text);
  if (value !== null) return value;
  throw bad(`Cannot decode the parameter ${quoteText(text)}: use UTF-8 with percent-escapes`);
}

/** As in forms: plus is a space, escapes are UTF-8. Null for what cannot be decoded, which as a name is unknown. */
function tryDecodePart(text: string): string | null {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return null;
  }
}

function bad(message: string): Fault {
  return new Fault("badRequest", message);
}

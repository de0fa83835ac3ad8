import { Fault } from "../../base/fault.ts";
import { parametersMax } from "../../base/limits.ts";
import { checkInstanceName, checkScopeName } from "../../catalog/id.ts";
import { quoteText } from "../../catalog/text.ts";
import type { Scope } from "../../store/identity.ts";
import type { Exchange } from "./exchange.ts";

/** Longer queries are decoded each time, so that the memory of `scopesByQuery` stays small. */
const keptQueryCharsMax = 512;

const scopeParameters = ["tenant_id", "account_handle", "namespace_id", "project_handle"] as const;

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
  const names = readParameters(query, scopeParameters);
  const tenant = names.tenant_id ?? names.account_handle ?? "";
  if (tenant === "") {
    throw bad("Cannot tell the tenant: add ?tenant_id=<tenant> (or account_handle) to the URL");
  }
  checkScopeName(tenant, "tenant_id");
  const namespace = names.namespace_id ?? names.project_handle ?? "";
  if (namespace !== "") checkNamespace(namespace, "namespace_id");
  return surface.scopes.of(tenant, namespace);
}

/** Values by name, decoded; null where a name was not given at all. */
type ParameterValues<N extends string> = Record<N, string | null>;

/**
 * The wanted parameters of a query; unknown ones are ignored.
 * @throws Fault "badRequest" for a repeated one, a broken escape in a value, or more parameters than anybody sends.
 */
export function readParameters<const N extends string>(
  query: string,
  wanted: readonly N[],
): ParameterValues<N> {
  const values = Object.fromEntries(wanted.map((name) => [name, null])) as ParameterValues<N>;
  let start = 0;
  for (let count = 0; start < query.length; count++) {
    if (count === parametersMax) throw bad(`Cannot read more than ${parametersMax} parameters`);
    const next = query.indexOf("&", start);
    const end = next === -1 ? query.length : next;
    if (end > start) takeParameter(query.slice(start, end), wanted, values);
    start = end + 1;
  }
  return values;
}

function takeParameter<N extends string>(
  pair: string,
  wanted: readonly N[],
  values: ParameterValues<N>,
): void {
  const equals = pair.indexOf("=");
  const given = tryDecodePart(equals === -1 ? pair : pair.slice(0, equals));
  const name = wanted.find((one) => one === given);
  if (name === undefined) return;
  // Two values for one name: whichever we took, somebody in front of us may have checked the other.
  if (values[name] !== null) throw bad(`Cannot choose between two values of ${name}: give one`);
  values[name] = equals === -1 ? "" : decodeValue(pair.slice(equals + 1));
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

import { asFault, Fault, type FaultCode } from "../../base/fault.ts";
import { checkId, checkInstanceName, checkScopeName } from "../../catalog/id.ts";
import { type ConfigEntry, describeConfig } from "../../config/describe.ts";
import type { LoadedConfig } from "../../config/load.ts";
import type { Log } from "../../observe/log.ts";
import type { NodeStatus } from "../../observe/node-status.ts";
import { makeScope, nameArtifact, type Producer, producers } from "../../store/identity.ts";
import { kinds, type Manifest, manifestFlags, type Store } from "../../store/store.ts";
import { createColdApp } from "../cold-app.ts";
import { reportSpace, type SpaceDeps } from "./space.ts";

export type AdminDeps = SpaceDeps & {
  readonly loaded: LoadedConfig;
  /** Throws Fault "unavailable" while there is no store yet. */
  readonly store: () => Store;
  readonly status: NodeStatus;
  readonly log: Log;
};

export type AdminHandler = (request: Request) => Promise<Response>;

const statusByCode: Readonly<Partial<Record<FaultCode, number>>> = {
  badRequest: 400,
  missing: 404,
  unavailable: 503,
  full: 507,
};

/**
 * The routes behind the admin socket, for the commands of `kura`. Whoever can open the socket owns the data directory,
 * so nobody is asked for a credential; and a drain does not stop them.
 */
export function createAdminHandler(deps: AdminDeps): AdminHandler {
  const app = createColdApp(
    [
      { method: "GET", path: "/v1/status", run: () => describeStatus(deps) },
      { method: "GET", path: "/v1/config", run: () => describeSettings(deps) },
      { method: "GET", path: "/v1/store", run: () => describeStore(deps.store()) },
      { method: "GET", path: "/v1/segments", run: () => deps.store().segments() },
      { method: "GET", path: "/v1/space", run: ({ url }) => describeSpace(deps, url) },
      { method: "GET", path: "/v1/scrub", run: () => deps.store().scrub.report() },
      { method: "POST", path: "/v1/scrub", run: () => scrubNow(deps) },
      { method: "GET", path: "/v1/artifact", run: ({ url }) => findArtifact(deps, url) },
      { method: "DELETE", path: "/v1/namespaces", run: ({ url }) => cleanNamespace(deps, url) },
    ],
    {
      fault: (error) => refuse(deps.log, error),
      unknown: () => Response.json({ message: "There is no such admin route" }, { status: 404 }),
    },
  );
  return (request) => app.handle(request);
}

function describeStatus({ status }: AdminDeps): object {
  const { tenant, region, nodeUrl, version, isInsecure } = status.identity;
  return {
    version,
    tenant,
    region,
    nodeUrl,
    phase: status.phase,
    isReady: status.isReady,
    isInsecure,
    members: status.members,
    httpInflight: status.httpInflight,
    grpcInflight: status.grpcInflight,
    recovery: status.recovery,
    reasons: status.reasons().map(({ sentence }) => sentence),
    reasonCodes: status.reasons().map(({ code }) => code),
    degraded: status.degraded.list(),
  };
}

function describeSettings({ loaded }: AdminDeps): ConfigEntry[] {
  return describeConfig(loaded);
}

/** The answer is as it was: the scrub begins in a moment. */
function scrubNow({ store, log }: AdminDeps): object {
  const { scrub } = store();
  scrub.startNow();
  log.info("scrub asked for");
  return scrub.report();
}

function describeStore(store: Store): object {
  return { state: store.state(), condition: store.condition(), ...store.usage() };
}

function describeSpace(deps: AdminDeps, url: URL): Promise<object> {
  return reportSpace(deps, readParameters(url, ["limit"]).get("limit"));
}

function findArtifact({ store, status }: AdminDeps, url: URL): object {
  const wanted = readParameters(url, ["producer", "tenant", "namespace", "key"]);
  const producer = readProducer(wanted.get("producer") ?? "");
  const scope = readScope(wanted, status.identity.tenant);
  const key = wanted.get("key") ?? "";
  // A logical key is an id behind a class: `blob/{id}`.
  checkId(key.slice(key.indexOf("/") + 1), "the key");
  const manifest = store().find(nameArtifact(producer, scope, key));
  if (manifest === null) {
    throw new Fault("missing", `There is no such ${producer} artifact in this scope`);
  }
  const { tenant, namespace } = scope;
  return {
    producer,
    tenant,
    namespace,
    key,
    ...describeManifest(manifest),
    attributes: store().attributes(manifest),
  };
}

function describeManifest(manifest: Manifest): object {
  const kind = Object.entries(kinds).find(([, place]) => place === manifest.kind)?.[0] ?? "unknown";
  const isJson = (manifest.flags & manifestFlags.json) !== 0;
  return {
    id: Buffer.from(manifest.id).toString("hex"),
    kind,
    contentType: isJson ? "application/json" : "application/octet-stream",
    sizeBytes: manifest.sizeBytes,
    file: manifest.file,
    offsetBytes: manifest.offsetBytes,
    isLarge: (manifest.flags & manifestFlags.large) !== 0,
    seq: manifest.seq,
    version: manifest.version,
    origin: manifest.origin,
    digest: manifest.digest.toString(16).padStart(13, "0"),
  };
}

async function cleanNamespace({ store, status }: AdminDeps, url: URL): Promise<object> {
  const wanted = readParameters(url, ["tenant", "namespace"]);
  const scope = readScope(wanted, status.identity.tenant);
  const outcome = await store().commit({ op: "clean", scope });
  const version = outcome.at === "cleaned" ? outcome.version : null;
  return { cleaned: true, tenant: scope.tenant, namespace: scope.namespace, version };
}

/** Without a tenant it is the node's own, without a namespace the tenant's own scope. */
function readScope(wanted: ReadonlyMap<string, string>, ownTenant: string) {
  const tenant = checkScopeName(wanted.get("tenant") || ownTenant, "the tenant");
  const namespace = wanted.get("namespace") ?? "";
  if (namespace !== "") checkInstanceName(namespace, "the namespace");
  return makeScope(tenant.toLowerCase(), namespace.toLowerCase());
}

function readProducer(name: string): Producer {
  const known = Object.keys(producers).find((producer) => producer === name);
  if (known !== undefined) return known as Producer;
  throw new Fault("badRequest", `Cannot find a producer: use ${Object.keys(producers).join(", ")}`);
}

/** The parameters of an admin route; an unknown or a repeated one is a mistake that somebody wants to hear of. */
function readParameters(url: URL, allowed: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (!allowed.includes(name) || found.has(name)) {
      throw new Fault(
        "badRequest",
        `Cannot use the parameters: each of ${allowed.join(", ")} once`,
      );
    }
    found.set(name, value);
  }
  return found;
}

function refuse(log: Log, error: unknown): Response {
  const fault = asFault(error);
  const status = statusByCode[fault.code] ?? 500;
  if (status >= 500) {
    log.error("An admin request failed", { error: error instanceof Error ? error : fault });
  }
  return Response.json({ message: fault.message }, { status });
}

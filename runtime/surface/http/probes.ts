import { metricsContentType } from "../../observe/metrics.ts";
import type { NodeStatus } from "../../observe/node-status.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { type ColdApp, createColdApp } from "../cold-app.ts";
import { commonHeaders } from "./answer.ts";
import {
  defineRoute,
  type Exchange,
  type HttpDeps,
  type Operation,
  type Protocol,
} from "./exchange.ts";

/**
 * Probes and status. Everything comes from memory: no lock, no peer, no store look-up, so that a busy node is never
 * killed for being busy. They are answered while recovering and draining.
 * @source surfaces.md 4.8 and row 25 of its section 11.
 */
const paths = ["/up", "/ready", "/status/rollout", "/status/cluster", "/metrics"] as const;

/** The probes of one node as a protocol: an Elysia app behind the hand-written handler. */
export function createProbes(deps: HttpDeps): Protocol {
  const app = createProbeApp(deps);
  const ask: Operation = async (exchange) =>
    await finish(exchange, await app.handle(toApp(exchange)));
  const options = { isProbe: true };
  const routes = paths.map((path) => defineRoute(path, { GET: ask, HEAD: ask }, options));
  const byPath = new Map(routes.map((route) => [route.template, route]));
  return { routes, find: (path) => byPath.get(path) ?? null };
}

/** Without host and query: probes know neither, so neither can make them fail. */
function toApp({ path }: Exchange): Request {
  return new Request(`http://node${path}`);
}

async function finish(exchange: Exchange, answer: Response): Promise<Answer> {
  const { status } = answer;
  const headers: Record<string, string> = {};
  answer.headers.forEach((value, name) => {
    headers[name] = value;
  });
  Object.assign(headers, commonHeaders(exchange));
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return { status, headers, body: { at: "bytes", bytes }, hangsUp: exchange.hangsUp };
}

function createProbeApp(deps: HttpDeps): ColdApp {
  const { status, metrics } = deps;
  const get = (path: (typeof paths)[number], run: () => unknown) => {
    return { method: "GET", path, run } as const;
  };
  return createColdApp(
    [
      get("/up", () => Response.json(describeNode(deps), { status: upStatus(status) })),
      get("/ready", () => {
        return Response.json(describeReadiness(deps), { status: status.isReady ? 200 : 503 });
      }),
      get("/status/rollout", () => describeRollout(deps)),
      get("/status/cluster", () => describeCluster(deps)),
      get("/metrics", async () => {
        const headers = { "content-type": metricsContentType };
        return new Response(await metrics.render(), { headers });
      }),
    ],
    {
      fault(error) {
        deps.log.error("A probe failed", { error: error instanceof Error ? error : String(error) });
        return Response.json(
          { message: "The probe failed: see the log of the node" },
          { status: 500 },
        );
      },
      unknown: () => Response.json({ message: "There is no such probe" }, { status: 404 }),
    },
  );
}

/** A node that waits for itself is left alone for as long as it may come round: see `KURA_LIVENESS_STALL_MS`. */
export function upStatus({ endOfLife }: NodeStatus): 200 | 503 {
  return endOfLife === null ? 200 : 503;
}

/** What `/up` says: the seed's fields, those of the mesh included; clients wait here for `"ring_members":3`. */
export function describeNode(deps: HttpDeps): object {
  const { status } = deps;
  const { endOfLife } = status;
  const { tenant, region, nodeUrl, version } = status.identity;
  return {
    status: endOfLife === null ? "ok" : "wedged",
    ...(endOfLife === null ? {} : { reason: endOfLife }),
    tenant_id: tenant,
    region,
    node: region,
    node_url: nodeUrl,
    version,
    generation: status.generation,
    connected_nodes: connectedNodes(deps),
    ring_members: status.members.length,
    members: status.members,
    nodes: status.members,
  };
}

function describeCluster(deps: HttpDeps): object {
  const { status } = deps;
  const { tenant, region, nodeUrl } = status.identity;
  return {
    status: "ok",
    generation: status.generation,
    tenant_id: tenant,
    region,
    node: region,
    node_url: nodeUrl,
    connected_nodes: connectedNodes(deps),
    ring_members: status.members.length,
    members: status.members,
    regions: [region],
    nodes: status.members,
  };
}

function describeReadiness({ status }: HttpDeps): object {
  return {
    status: status.isReady ? "ok" : "not_ready",
    generation: status.generation,
    state: status.state,
    ready: status.isReady,
    draining: status.isDraining,
    writer_lock_owned: status.ownsWriterLock,
    initial_discovery_completed: status.isDiscoveryCompleted,
    known_peers: status.members.length - 1,
    bootstrapped_peers: 0,
    bootstrap_inflight_peers: 0,
    http_inflight_requests: status.httpInflight,
    grpc_inflight_requests: status.grpcInflight,
    recovery: describeRecovery(status.recovery),
    reasons: status.reasons().map(({ sentence }) => sentence),
    reason_codes: status.reasons().map(({ code }) => code),
    degraded: status.degraded.list(),
  };
}

function describeRollout({ status, descriptors }: HttpDeps): object {
  return {
    generation: status.generation,
    ready: status.isReady,
    state: status.state,
    reason_codes: status.reasons().map(({ code }) => code),
    degraded: status.degraded.list(),
    ring_members: status.members.length,
    ring_fingerprint: fingerprint(status.members),
    initial_discovery_completed: status.isDiscoveryCompleted,
    writer_lock_owned: status.ownsWriterLock,
    http_inflight_requests: status.httpInflight,
    grpc_inflight_requests: status.grpcInflight,
    // There is no outbox: a record is its own replication work. Zero keeps the reference's dashboards quiet.
    outbox_messages: 0,
    outbox_capacity: 0,
    memory_pressure_state: status.memory.tier,
    fd_timeout_count: descriptors.timeouts,
    peer_connection_failure_count: 0,
    backfill_initial_cycle: status.isReady ? "complete" : "pending",
  };
}

function describeRecovery(
  recovery: { doneBytes: number; totalBytes: number } | null,
): object | null {
  if (recovery === null) return null;
  return { done_bytes: recovery.doneBytes, total_bytes: recovery.totalBytes };
}

/** Peers that we hold a connection to. */
function connectedNodes({ status }: HttpDeps): number {
  return status.members.length - 1;
}

/** Equal on nodes that see the same members, whatever their order. */
function fingerprint(members: readonly string[]): string {
  return Bun.hash
    .xxHash3([...members].sort().join("\n"))
    .toString(16)
    .padStart(16, "0");
}

import path from "node:path";
import { hour, second } from "../base/units.ts";
import { type LogLevel, logLevels } from "./log-level.ts";
import { derived, fixed, planned, row } from "./setting.ts";
import {
  choice,
  flag,
  host,
  label,
  milliseconds,
  path as pathKind,
  port,
  share,
  url,
} from "./value.ts";

/** Who the node is, where it listens, where its files are, and how it ends. */
export const nodeRows = {
  tenant: row("KURA_TENANT_ID", label(), fixed("default"), "The node's tenant."),
  region: row("KURA_REGION", label(), fixed("local"), "Region label in metrics and status."),
  bind: row(
    "KURA_BIND",
    host(),
    fixed("127.0.0.1"),
    "Address that the public ports listen on. Beyond loopback it needs KURA_INSECURE_NO_AUTH=1.",
  ),
  publicPort: row("KURA_PORT", port(), fixed(4_000), "Public HTTP port."),
  httpsPort: row("KURA_HTTPS_PORT", port(), fixed(4_443), "Public HTTP port with TLS."),
  grpcPort: row("KURA_GRPC_PORT", port(), fixed(50_051), "Port of the Remote Execution API."),
  internalPort: planned("KURA_INTERNAL_PORT", port(), fixed(7_443), "Port for peers."),
  nodeUrl: row(
    "KURA_NODE_URL",
    url(),
    derived("http:// + KURA_BIND (host name if it is a wildcard) + KURA_INTERNAL_PORT", (given) => {
      const bind = given.text("KURA_BIND");
      const name = isWildcard(bind) ? given.machine.hostName : bind;
      return `http://${urlHost(name)}:${given.number("KURA_INTERNAL_PORT")}`;
    }),
    "Canonical URL of this node for its peers.",
  ),
  insecureNoAuth: row(
    "KURA_INSECURE_NO_AUTH",
    flag(),
    fixed(false),
    "Allows public ports beyond loopback although nobody is asked who they are.",
  ),
  insecurePeerPlane: planned(
    "KURA_INSECURE_PEER_PLANE",
    flag(),
    fixed(false),
    "Allows the peer port beyond loopback without mTLS.",
  ),
  dataDir: row(
    "KURA_DATA_DIR",
    folder(),
    derived(".kura in the working folder", () => path.resolve(".kura")),
    "Metadata and segments. One process at a time.",
  ),
  tmpDir: planned(
    "KURA_TMP_DIR",
    folder(),
    derived("KURA_DATA_DIR/tmp", (given) => path.join(given.text("KURA_DATA_DIR"), "tmp")),
    "Scratch space, wiped at every start; may be another volume.",
  ),
  drainMsMax: row(
    "KURA_DRAIN_COMPLETION_TIMEOUT_MS",
    milliseconds({ min: 0, max: 24 * hour }),
    fixed(240_000),
    "How long a drain waits for requests in flight before it cuts them.",
  ),
  storeStallMsMax: row(
    "KURA_STORE_STALL_MS",
    milliseconds({ min: 100, max: hour }),
    fixed(10_000),
    "A disk that does not answer a write of the log for this long takes the node out of rotation.",
  ),
  livenessStallMsMax: row(
    "KURA_LIVENESS_STALL_MS",
    milliseconds({ min: second, max: 24 * hour }),
    fixed(60_000),
    "After this long without an answer /up fails as well, so that the node is started again.",
  ),
  httpIdleMsMax: row(
    "KURA_HTTP_IDLE_TIMEOUT_MS",
    milliseconds({ min: second, max: 255 * second }),
    fixed(60_000),
    "A connection without a byte for this long is closed (whole seconds, rounded up).",
  ),
  logLevel: row<LogLevel>(
    "KURA_LOG_LEVEL",
    choice(logLevels),
    fixed("info"),
    "Least level that is logged.",
  ),
  logRepeatMs: row(
    "KURA_WARNING_LOG_INTERVAL_MS",
    milliseconds({ min: 0, max: 24 * hour }),
    fixed(60_000),
    "Window in which a repeated log message is written at most five times.",
  ),
  requestLogShare: planned(
    "KURA_REQUEST_LOG_SAMPLE_RATE",
    share(),
    fixed(0),
    "Share of requests that are logged.",
  ),
  slowRequestMs: planned(
    "KURA_SLOW_REQUEST_THRESHOLD_MS",
    milliseconds({ min: 1, max: hour }),
    fixed(30_000),
    "Requests slower than this are logged.",
  ),
} as const;

/** Loopback means: nobody beyond this machine can connect. */
export function isLoopback(address: string): boolean {
  return address === "localhost" || address === "::1" || /^127\.\d+\.\d+\.\d+$/.test(address);
}

/** The addresses that mean "every address of this machine". */
export function isWildcard(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

/** An IPv6 address needs brackets in a URL. */
export function urlHost(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

function folder(): ReturnType<typeof pathKind> {
  const kind = pathKind();
  return {
    ...kind,
    parse(text) {
      const given = kind.parse(text);
      return given === null ? null : path.resolve(given);
    },
  };
}

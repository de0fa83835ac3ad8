import { Secret } from "../base/secret.ts";
import { GiB, hour, MiB, second } from "../base/units.ts";
import { fixed, planned } from "./setting.ts";
import {
  bytes,
  count,
  flag,
  host,
  milliseconds,
  path,
  seconds,
  secret,
  text,
  url,
  urls,
} from "./value.ts";

const off = fixed("");
const hidden = fixed(new Secret(""));

/** Peers, their TLS, enrollment, the control plane and what is reported to it. Nothing here is used yet. */
export const meshRows = {
  peers: planned(
    "KURA_PEERS",
    urls(),
    fixed<readonly string[]>([]),
    "Peers used before discovery converges.",
  ),
  discoveryDnsName: planned("KURA_DISCOVERY_DNS_NAME", host(), off, "Name probed for peers."),
  globalDiscoveryDnsName: planned(
    "KURA_GLOBAL_DISCOVERY_DNS_NAME",
    host(),
    off,
    "Name probed for peers of other regions.",
  ),
  meshPeersSync: planned(
    "KURA_MESH_PEERS_SYNC",
    flag(),
    fixed(false),
    "Take the peer list from the control plane.",
  ),
  inbound: planned("KURA_INBOUND", flag(), fixed(true), "Whether peers can connect to this node."),
  peerGatewayUrl: planned(
    "KURA_PEER_GATEWAY_URL",
    url(),
    off,
    "Address of this node's mesh for peers outside.",
  ),
  peerBytesPerSecondMax: planned(
    "KURA_REPLICATION_BANDWIDTH_LIMIT_BYTES_PER_SECOND",
    bytes({ min: 0, max: 1_024 * GiB }),
    fixed(512 * MiB),
    "Ceiling for bodies from peers; 0 is off.",
  ),
  peerLatencyMsTarget: planned(
    "KURA_REPLICATION_PUBLIC_LATENCY_TARGET_MS",
    milliseconds({ min: 0, max: hour }),
    fixed(100),
    "Public latency that peers back off for; 0 is off.",
  ),
  peerStallMsMax: planned(
    "KURA_REPLICATION_UPLOAD_STALL_MS",
    milliseconds({ min: 1, max: hour }),
    fixed(60_000),
    "A body from a peer without progress is cut.",
  ),
  internalTlsCaPath: planned(
    "KURA_INTERNAL_TLS_CA_CERT_PATH",
    path(),
    off,
    "Certificate authority of the mesh.",
  ),
  internalTlsCertPath: planned(
    "KURA_INTERNAL_TLS_CERT_PATH",
    path(),
    off,
    "Certificate for peers.",
  ),
  internalTlsKeyPath: planned("KURA_INTERNAL_TLS_KEY_PATH", path(), off, "Its key."),
  controlPlaneUrl: planned("KURA_CONTROL_PLANE_URL", url(), off, "The control plane."),
  controlPlaneClientId: planned(
    "KURA_CONTROL_PLANE_CLIENT_ID",
    text(),
    off,
    "This node's credential there.",
  ),
  controlPlaneClientSecret: planned(
    "KURA_CONTROL_PLANE_CLIENT_SECRET",
    secret(),
    hidden,
    "Its secret.",
  ),
  enrollOnBoot: planned(
    "KURA_ENROLL_ON_BOOT",
    flag(),
    fixed(false),
    "Fetch a peer certificate at start.",
  ),
  enrollToken: planned(
    "KURA_ENROLL_TOKEN",
    secret(),
    hidden,
    "One-time token for the first enrollment.",
  ),
  registrationUrl: planned(
    "KURA_REGISTRATION_URL",
    url(),
    off,
    "Where this node announces itself.",
  ),
  advertisedHttpUrl: planned(
    "KURA_ADVERTISED_HTTP_URL",
    url(),
    off,
    "Client-facing URL that it announces.",
  ),
  registrationMs: planned(
    "KURA_REGISTRATION_INTERVAL_MS",
    milliseconds({ min: second, max: hour }),
    fixed(60_000),
    "Time between heartbeats.",
  ),
  grantPublicKey: planned(
    "KURA_CONTROL_GRANT_PUBLIC_KEY",
    text(),
    off,
    "Key that signs write grants of the command line.",
  ),
  usageWindowSeconds: planned(
    "KURA_USAGE_WINDOW_SECS",
    seconds({ min: 1, max: 86_400 }),
    fixed(60),
    "Window of the usage counters.",
  ),
  usageFlushMs: planned(
    "KURA_USAGE_FLUSH_INTERVAL_MS",
    milliseconds({ min: 1, max: hour }),
    fixed(60_000),
    "Time between writes of usage.",
  ),
  usageDeliveryMs: planned(
    "KURA_USAGE_DELIVERY_INTERVAL_MS",
    milliseconds({ min: 1, max: hour }),
    fixed(5_000),
    "Time between deliveries of usage.",
  ),
  usageBatchMax: planned(
    "KURA_USAGE_BATCH_SIZE",
    count({ min: 1, max: 100_000 }),
    fixed(1_000),
    "Usage rows in one delivery.",
  ),
  usageBucketsMax: planned(
    "KURA_USAGE_MAX_BUCKETS",
    count({ min: 1, max: 1_000_000 }),
    fixed(10_000),
    "Usage counters in memory.",
  ),
  usageOutboxMax: planned(
    "KURA_USAGE_OUTBOX_MAX_DEPTH",
    count({ min: 1, max: 10_000_000 }),
    fixed(100_000),
    "Usage rows kept for delivery.",
  ),
  usageNetworkPath: planned(
    "KURA_USAGE_NETWORK_PATH",
    text(),
    off,
    "Network path named in usage rows.",
  ),
} as const;

import type { Secret } from "../base/secret.ts";
import { limitRows } from "./rows-limits.ts";
import { meshRows } from "./rows-mesh.ts";
import { nodeRows } from "./rows-node.ts";
import { trustRows } from "./rows-trust.ts";
import type { Setting } from "./setting.ts";

/**
 * Every setting there is, in the order in which values are found: a derivation may look at the rows above its own.
 * The field is the name in the code, `name` that of the environment variable.
 */
export const table = { ...nodeRows, ...limitRows, ...meshRows, ...trustRows } as const;

export type Field = keyof typeof table;

type ValueOf<S> = S extends Setting<infer T> ? T : never;

/** One frozen value for every row of the table. */
export type Config = { readonly [F in Field]: ValueOf<(typeof table)[F]> };

/** All types that a row can have. */
export type SettingValue = string | number | boolean | readonly string[] | Secret;

/** Names with an id in the middle, which cannot stand in the table. */
export const knownPatterns: readonly RegExp[] = [
  /^KURA_EXTENSION_SIGNER_[A-Z0-9_]+_(ALGORITHM|SECRET)$/,
  /^KURA_EXTENSION_JWT_VERIFIER_[A-Z0-9_]+_(ALGORITHM|SECRET|ISSUER|AUDIENCES)$/,
  /^KURA_EXTENSION_HTTP_CLIENT_[A-Z0-9_]+_(BASE_URL|CONNECT_TIMEOUT_MS|REQUEST_TIMEOUT_MS)$/,
  /^KURA_EXTENSION_TUIST_INTROSPECT_CLIENT_(ID|SECRET)$/,
];

/**
 * Whoever sets one of these wants to be protected. While a version cannot do it, starting would be a lie.
 * A switch that says "off" (`..._ENABLED=false`) asks for nothing.
 */
export const protectivePatterns: readonly RegExp[] = [
  /^KURA_EXTENSION_(ENABLED|SCRIPT_PATH)$/,
  /^KURA_AUTH_/,
  /^KURA_(PUBLIC|INTERNAL|GRPC)_TLS_/,
];

/** Settings of the reference for things that Kura does not have; a start with them goes on with a warning. */
export const referenceOnlyNames: readonly string[] = [
  "KURA_ACCELERATED_FILE_SERVING_CHUNK_BYTES",
  "KURA_ACCELERATED_FILE_SERVING_ENABLED",
  "KURA_ACCELERATED_FILE_SERVING_MAX_CONCURRENT",
  "KURA_ACCELERATED_FILE_SERVING_MODE",
  "KURA_ACTION_CACHE_EVICTION_CASCADE_ENABLED",
  "KURA_BACKFILL_BATCH_BYTES",
  "KURA_BACKFILL_MARGIN_PERCENT",
  "KURA_BACKFILL_READY_RING_PERCENT",
  "KURA_BOOTSTRAP_MAX_CONCURRENT_PEERS",
  "KURA_BOOTSTRAP_TIMEOUT_MS",
  "KURA_GEOIP_REFRESH_INTERVAL_SECS",
  "KURA_MEMORY_FLOOR_BYTES",
  "KURA_NODE_COUNTRY",
  "KURA_NODE_SUBDIVISION",
  "KURA_OUTBOX_MAX_DEPTH",
  "KURA_REAPI_BLOB_CHUNKING_ENABLED",
  "KURA_SNAPSHOT_CACHE_MAX_BYTES",
  "KURA_TOKIO_WORKER_THREADS",
];

import { Secret } from "../base/secret.ts";
import { hour } from "../base/units.ts";
import { fixed, planned, row } from "./setting.ts";
import { choice, count, flag, milliseconds, path, seconds, secret, text, url } from "./value.ts";

const off = fixed("");
const hidden = fixed(new Secret(""));

/** TLS for clients, authorization, the extension, telemetry, analytics and features of later versions. */
export const trustRows = {
  publicTlsCertPath: row(
    "KURA_PUBLIC_TLS_CERT_PATH",
    path(),
    off,
    "Certificate chain (PEM) for KURA_HTTPS_PORT; read again when it changes and on SIGHUP.",
  ),
  publicTlsKeyPath: row(
    "KURA_PUBLIC_TLS_KEY_PATH",
    path(),
    off,
    "Its key (PEM, without a passphrase).",
  ),
  grpcTlsCertPath: row(
    "KURA_GRPC_TLS_CERT_PATH",
    path(),
    off,
    "Certificate chain (PEM) with which KURA_GRPC_PORT speaks TLS; read again when it changes and on SIGHUP.",
  ),
  grpcTlsKeyPath: row(
    "KURA_GRPC_TLS_KEY_PATH",
    path(),
    off,
    "Its key (PEM, without a passphrase).",
  ),
  grpcEngine: row(
    "KURA_GRPC_ENGINE",
    choice(["kura", "grpc-js"]),
    fixed<"kura" | "grpc-js">("kura"),
    "Which HTTP/2 server answers gRPC: our own, or the library's.",
  ),
  metricsCompat: planned(
    "KURA_METRICS_COMPAT",
    flag(),
    fixed(false),
    "Adds the reference's doubled metric names.",
  ),
  authEnabled: planned("KURA_AUTH_ENABLED", flag(), fixed(false), "Native authorization."),
  authUrl: planned("KURA_AUTH_TUIST_URL", url(), off, "Server that is asked about credentials."),
  authJwtPublicKey: planned(
    "KURA_AUTH_JWT_PUBLIC_KEY",
    text(),
    off,
    "Public key of the tokens (ES256).",
  ),
  authJwtSecret: planned("KURA_AUTH_JWT_SECRET", secret(), hidden, "Shared secret of the tokens."),
  authJwtAlgorithm: planned("KURA_AUTH_JWT_ALGORITHM", text(), off, "Algorithm of the tokens."),
  authJwtIssuer: planned("KURA_AUTH_JWT_ISSUER", text(), off, "Issuer that tokens must name."),
  authJwtAudiences: planned(
    "KURA_AUTH_JWT_AUDIENCES",
    text(),
    off,
    "Audiences that tokens may name.",
  ),
  authConnectMsMax: planned(
    "KURA_AUTH_TUIST_CONNECT_TIMEOUT_MS",
    milliseconds({ min: 1, max: hour }),
    fixed(3_000),
    "Connection to the authorization server.",
  ),
  authRequestMsMax: planned(
    "KURA_AUTH_TUIST_REQUEST_TIMEOUT_MS",
    milliseconds({ min: 1, max: hour }),
    fixed(4_000),
    "Answer of the authorization server.",
  ),
  authCacheEntriesMax: planned(
    "KURA_AUTH_CACHE_MAX_ENTRIES",
    count({ min: 1, max: 10_000_000 }),
    fixed(100_000),
    "Cached decisions.",
  ),
  introspectionClientId: planned(
    "KURA_INTROSPECTION_CLIENT_ID",
    text(),
    off,
    "This node's credential for introspection.",
  ),
  introspectionClientSecret: planned(
    "KURA_INTROSPECTION_CLIENT_SECRET",
    secret(),
    hidden,
    "Its secret.",
  ),
  extensionEnabled: planned("KURA_EXTENSION_ENABLED", flag(), fixed(false), "The Lua extension."),
  extensionScriptPath: planned("KURA_EXTENSION_SCRIPT_PATH", path(), off, "Its script."),
  extensionMode: planned(
    "KURA_EXTENSION_MODE",
    text(),
    off,
    "Whether the script narrows or replaces native authorization.",
  ),
  extensionHookMsMax: planned(
    "KURA_EXTENSION_HOOK_TIMEOUT_MS",
    milliseconds({ min: 1, max: 60_000 }),
    fixed(25),
    "Time of one hook.",
  ),
  extensionAllowSeconds: planned(
    "KURA_EXTENSION_AUTH_CACHE_ALLOW_TTL_SECONDS",
    seconds({ min: 0, max: 86_400 }),
    fixed(600),
    "Life of a cached yes.",
  ),
  extensionDenySeconds: planned(
    "KURA_EXTENSION_AUTH_CACHE_DENY_TTL_SECONDS",
    seconds({ min: 0, max: 86_400 }),
    fixed(3),
    "Life of a cached no.",
  ),
  extensionCacheEntriesMax: planned(
    "KURA_EXTENSION_CACHE_MAX_ENTRIES",
    count({ min: 1, max: 10_000_000 }),
    fixed(100_000),
    "Cached decisions of the script.",
  ),
  extensionFailClosedAuthenticate: planned(
    "KURA_EXTENSION_FAIL_CLOSED_AUTHENTICATE",
    flag(),
    fixed(true),
    "A failed authenticate hook refuses.",
  ),
  extensionFailClosedAuthorize: planned(
    "KURA_EXTENSION_FAIL_CLOSED_AUTHORIZE",
    flag(),
    fixed(true),
    "A failed authorize hook refuses.",
  ),
  extensionFailOpenHeaders: planned(
    "KURA_EXTENSION_FAIL_OPEN_RESPONSE_HEADERS",
    flag(),
    fixed(true),
    "A failed response_headers hook is ignored.",
  ),
  extensionEnvAllow: planned(
    "KURA_EXTENSION_ENV_ALLOW",
    text(),
    off,
    "Environment names that the script may read.",
  ),
  tracesEndpoint: planned(
    "KURA_OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    url(),
    off,
    "Where traces are sent.",
  ),
  otelServiceName: planned(
    "KURA_OTEL_SERVICE_NAME",
    text(),
    fixed("kura"),
    "Service name in traces.",
  ),
  otelEnvironment: planned(
    "KURA_OTEL_DEPLOYMENT_ENVIRONMENT",
    text(),
    off,
    "Deployment environment in traces.",
  ),
  sentryDsn: planned("KURA_SENTRY_DSN", secret(), hidden, "Where errors are sent."),
  analyticsUrl: planned("KURA_ANALYTICS_SERVER_URL", url(), off, "Where cache events are sent."),
  analyticsSigningKey: planned(
    "KURA_ANALYTICS_SIGNING_KEY",
    secret(),
    hidden,
    "Signs cache events.",
  ),
  analyticsBatchMax: planned(
    "KURA_ANALYTICS_BATCH_SIZE",
    count({ min: 1, max: 100_000 }),
    fixed(100),
    "Events in one delivery.",
  ),
  analyticsBatchMs: planned(
    "KURA_ANALYTICS_BATCH_TIMEOUT_MS",
    milliseconds({ min: 1, max: hour }),
    fixed(5_000),
    "Longest wait for a full batch.",
  ),
  analyticsQueueMax: planned(
    "KURA_ANALYTICS_QUEUE_CAPACITY",
    count({ min: 1, max: 1_000_000 }),
    fixed(1_000),
    "Events that wait.",
  ),
  analyticsRequestMsMax: planned(
    "KURA_ANALYTICS_REQUEST_TIMEOUT_MS",
    milliseconds({ min: 1, max: hour }),
    fixed(5_000),
    "One delivery.",
  ),
  analyticsFailuresMax: planned(
    "KURA_ANALYTICS_CIRCUIT_BREAKER_FAILURE_THRESHOLD",
    count({ min: 1, max: 1_000 }),
    fixed(5),
    "Failures that open the breaker.",
  ),
  analyticsOpenMs: planned(
    "KURA_ANALYTICS_CIRCUIT_BREAKER_OPEN_MS",
    milliseconds({ min: 1, max: hour }),
    fixed(30_000),
    "How long it stays open.",
  ),
} as const;

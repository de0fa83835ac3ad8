import { checkMemory } from "./check-memory.ts";
import { nearestName } from "./near-name.ts";
import { isLoopback } from "./rows-node.ts";
import type { Environment, Machine, Source } from "./setting.ts";
import {
  type Config,
  type Field,
  knownPatterns,
  protectivePatterns,
  referenceOnlyNames,
  table,
} from "./table.ts";
import { showBytes } from "./value.ts";

type Findings = { readonly problems: string[]; readonly warnings: string[] };

/** Looks at the names that are set: unknown, of another version, or a wish for protection that cannot be kept. */
export function checkEnvironment({
  env,
  problems,
  warnings,
}: Findings & { env: Environment }): void {
  if (env.NODE_TLS_REJECT_UNAUTHORIZED === "0") {
    problems.push(
      "NODE_TLS_REJECT_UNAUTHORIZED: 0 switches off every certificate check of this process; unset it",
    );
  }
  const rows = new Map(Object.values(table).map((setting) => [setting.name, setting]));
  for (const name of Object.keys(env).sort()) {
    const text = env[name]?.trim() ?? "";
    if (!name.startsWith("KURA_") || text === "") continue;
    const setting = rows.get(name);
    if (setting?.since === "now") continue;
    if (protectivePatterns.some((pattern) => pattern.test(name))) {
      if (!(name.endsWith("_ENABLED") && table.authEnabled.kind.parse(text) === false)) {
        problems.push(`${name}: this version cannot protect the node in this way yet; unset it`);
      }
    } else if (setting?.since === "planned") {
      warnings.push(`${name} is known but this version does not use it yet`);
    } else if (setting === undefined) {
      warnings.push(explainUnknown(name, rows.keys()));
    }
  }
}

function explainUnknown(name: string, known: Iterable<string>): string {
  if (knownPatterns.some((pattern) => pattern.test(name))) {
    return `${name} is known but this version does not use it yet`;
  }
  if (referenceOnlyNames.includes(name)) {
    return `${name} belongs to the reference implementation and has no effect on Kura`;
  }
  const nearest = nearestName(name, known);
  return nearest === null
    ? `${name} is not a setting of Kura; \`kura inspect config\` lists them all`
    : `${name} is not a setting of Kura; did you mean ${nearest}?`;
}

type Relations = Findings & {
  readonly config: Config;
  readonly sources: Readonly<Record<Field, Source>>;
  readonly machine: Machine;
};

/** Values that are each allowed but do not go together. */
export function checkRelations(input: Relations): void {
  checkMemory(input);
  checkSizes(input);
  checkPorts(input);
  checkNodeUrl(input);
  checkExposure(input);
  checkPairs(input);
}

function checkSizes({ config, problems }: Relations): void {
  if (config.segmentHandlesMax >= config.descriptorPoolSize && config.descriptorPoolSize > 1) {
    problems.push(
      `KURA_SEGMENT_HANDLE_CACHE_SIZE: ${config.segmentHandlesMax} must be less than KURA_FILE_DESCRIPTOR_POOL_SIZE (${config.descriptorPoolSize})`,
    );
  }
  if (config.indexWriteBufferBytes > config.indexWriteBufferPoolBytes) {
    problems.push(
      `KURA_METADATA_STORE_WRITE_BUFFER_BYTES: ${showBytes(config.indexWriteBufferBytes)} must be at most KURA_METADATA_STORE_WRITE_BUFFER_POOL_BYTES (${showBytes(config.indexWriteBufferPoolBytes)})`,
    );
  }
}

/** A port that is not opened collides only if somebody set it. */
function checkPorts({ config, sources, problems, warnings }: Relations): void {
  const { httpsPort, publicTlsCertPath, publicTlsKeyPath } = table;
  if (sources.httpsPort !== "default" && config.publicTlsCertPath === "") {
    warnings.push(
      `${httpsPort.name} is not opened without ${publicTlsCertPath.name} and ${publicTlsKeyPath.name}`,
    );
  }
  const taken = new Map<number, string>();
  for (const field of ["publicPort", "httpsPort", "grpcPort", "internalPort"] as const) {
    const { name, since } = table[field];
    const isOpened = since === "now" && (field !== "httpsPort" || config.publicTlsCertPath !== "");
    const isUsed = isOpened || sources[field] === "environment" || sources[field] === "flag";
    const port = config[field];
    if (!isUsed || port === 0) continue;
    const other = taken.get(port);
    if (other !== undefined) problems.push(`${name}: ${port} is already the port of ${other}`);
    taken.set(port, name);
  }
}

function checkNodeUrl({ config, sources, problems, warnings }: Relations): void {
  if (sources.nodeUrl === "derived") return;
  const { protocol, port } = new URL(config.nodeUrl);
  const urlPort = port === "" ? (protocol === "https:" ? 443 : 80) : Number(port);
  if (protocol === "https:") {
    problems.push(
      `KURA_NODE_URL: ${config.nodeUrl} promises TLS, which the peer port of this version does not have; use http://`,
    );
  }
  if (urlPort === config.internalPort) return;
  const isSeedStart = sources.internalPort === "default" && urlPort === config.publicPort;
  if (isSeedStart) {
    warnings.push(
      `KURA_NODE_URL: ${config.nodeUrl} names the public port, but peers use KURA_INTERNAL_PORT (${config.internalPort}); set both before this node gets peers`,
    );
  } else {
    problems.push(
      `KURA_NODE_URL: port ${urlPort} of ${config.nodeUrl} must be KURA_INTERNAL_PORT (${config.internalPort})`,
    );
  }
}

function checkExposure({ config, problems, warnings }: Relations): void {
  if (isLoopback(config.bind)) return;
  if (config.insecureNoAuth) {
    warnings.push(
      `KURA_INSECURE_NO_AUTH: everybody who reaches ${config.bind} can read, write and clean this cache`,
    );
    return;
  }
  problems.push(
    `KURA_BIND: ${config.bind} can be reached from other machines and this version asks nobody who they are; listen on 127.0.0.1, or set KURA_INSECURE_NO_AUTH=1 on a network you trust`,
  );
}

/** Settings that mean nothing alone: the missing one is named. */
function checkPairs({ config, problems }: Relations): void {
  const pairs = [
    ["analyticsUrl", "analyticsSigningKey"],
    ["controlPlaneClientId", "controlPlaneClientSecret"],
    ["introspectionClientId", "introspectionClientSecret"],
    ["publicTlsCertPath", "publicTlsKeyPath"],
    ["grpcTlsCertPath", "grpcTlsKeyPath"],
  ] as const;
  for (const [left, right] of pairs) {
    const hasLeft = config[left] !== "";
    const rightValue = config[right];
    const hasRight = (typeof rightValue === "string" ? rightValue : rightValue.reveal()) !== "";
    if (hasLeft === hasRight) continue;
    const [missing, present] = hasLeft ? [right, left] : [left, right];
    problems.push(`${table[missing].name}: missing; ${table[present].name} needs it`);
  }
}

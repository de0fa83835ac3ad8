import { isWildcard, urlHost } from "../config/rows-node.ts";
import type { Config } from "../config/table.ts";
import { showBytes } from "../config/value.ts";

/** The address a client on this machine uses. */
export function publicUrl(
  scheme: "http" | "https" | "grpc" | "grpcs",
  config: Config,
  port: number,
): string {
  const host = isWildcard(config.bind) ? "127.0.0.1" : config.bind;
  return `${scheme}://${urlHost(host)}:${port}`;
}

/** What `kura serve` prints once it listens: the facts, and lines to paste into the clients. */
export function greeting({
  config,
  version,
  url,
  tlsUrl,
  grpcUrl,
}: {
  config: Config;
  version: string;
  url: string;
  /** Null without TLS. */
  tlsUrl: string | null;
  grpcUrl: string;
}): string {
  const query = `tenant_id=${encodeURIComponent(config.tenant)}&namespace_id=demo`;
  const gradleUrl = `${url}/cache/${encodeURIComponent(config.tenant)}/demo/`;
  return `kura ${version}
  listening  ${url}${tlsUrl === null ? "" : `\n             ${tlsUrl}, by a name of its certificate`}
             ${grpcUrl}
  data       ${config.dataDir}
  capacity   ${showBytes(config.capacityBytes)}
  tenant     ${config.tenant}, region ${config.region}

curl     curl -X PUT --data-binary @FILE '${url}/api/cache/gradle/0123abcd?${query}'
         curl -o COPY '${url}/api/cache/gradle/0123abcd?${query}'
Gradle   in settings.gradle, then run with --build-cache (leave allowInsecureProtocol out before Gradle 6):
         buildCache { remote(HttpBuildCache) { url = '${gradleUrl}'; push = true; allowInsecureProtocol = true } }
Bazel    bazel build //... --remote_cache=${grpcUrl} --remote_instance_name=demo
         or, over HTTP: --remote_cache=${url}/demo
ccache   export CCACHE_REMOTE_STORAGE='${url}/ccache/${encodeURIComponent(config.tenant)}/demo'
Nx       export NX_SELF_HOSTED_REMOTE_CACHE_SERVER=${url} NX_SELF_HOSTED_REMOTE_CACHE_ACCESS_TOKEN=any
Turbo    export TURBO_API=${url} TURBO_TOKEN=any TURBO_TEAM=demo
Metro    in metro.config.js, with HttpStore from metro-cache:
         cacheStores: [new HttpStore({ endpoint: '${url}/api/metro/cache' })]
`;
}

import { userAgentsMax } from "../base/limits.ts";

/** The values of the `client` label. Closed, so that nobody grows the exposition by inventing user agents. */
export const clients = [
  "xcode",
  "tuist",
  "gradle",
  "nx",
  "metro",
  "bazel",
  "buck2",
  "ccache",
  "turborepo",
  "curl",
  "node",
  "other",
  "none",
] as const;
export type Client = (typeof clients)[number];

/** The first that fits wins: specific tools stand before the libraries they are built on. */
const patterns: readonly (readonly [RegExp, Client])[] = [
  [/tuist/i, "tuist"],
  [/xcode|cfnetwork|swift/i, "xcode"],
  [/gradle/i, "gradle"],
  [/\bnx\b/i, "nx"],
  [/metro/i, "metro"],
  [/bazel/i, "bazel"],
  [/buck/i, "buck2"],
  [/ccache/i, "ccache"],
  [/turbo/i, "turborepo"],
  [/^curl\//i, "curl"],
  [/node|undici/i, "node"],
];

const known = new Map<string, number>();

/** Place in `clients` of the tool behind a User-Agent header. */
export function clientOf(userAgent: string | null): number {
  if (userAgent === null || userAgent === "") return clients.indexOf("none");
  const seen = known.get(userAgent);
  if (seen !== undefined) return seen;
  const client = patterns.find(([pattern]) => pattern.test(userAgent))?.[1] ?? "other";
  if (known.size >= userAgentsMax) known.clear();
  const place = clients.indexOf(client);
  known.set(userAgent, place);
  return place;
}

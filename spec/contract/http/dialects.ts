import { GiB, MiB } from "../../../runtime/base/units.ts";

/** A way in which a tool stores bodies: what the specs of all of them run over. */
export type Dialect = {
  readonly name: string;
  readonly write: "PUT" | "POST";
  /** Before the id. */
  readonly prefix: string;
  /** Label of its route in the metrics. */
  readonly template: string;
  /** After the id. */
  readonly suffix: string;
  readonly stored: number;
  readonly exists: number;
  readonly limitBytes: number;
  /** Refusals are text, and trouble is softened: a miss or "read-only". */
  readonly isText: boolean;
  /** A read that meets trouble is a miss; so it is wherever refusals are text. */
  readonly missesOnTrouble?: boolean;
};

const query = "?tenant_id=acme&namespace_id=ios";
const gradle = {
  write: "PUT",
  stored: 201,
  exists: 200,
  limitBytes: 100 * MiB,
  isText: false,
} as const;

/** @source surfaces.md 3.3 and the decisions of its section 12. */
export const dialects: readonly Dialect[] = [
  {
    name: "Xcode",
    write: "POST",
    prefix: "/api/cache/cas/",
    template: "/api/cache/cas/{id}",
    suffix: query,
    stored: 204,
    exists: 204,
    limitBytes: 256 * MiB,
    isText: false,
  },
  {
    name: "Gradle",
    prefix: "/api/cache/gradle/",
    template: "/api/cache/gradle/{cache_key}",
    suffix: query,
    ...gradle,
  },
  { name: "stock Gradle", prefix: "/cache/", template: "/cache/{key}", suffix: "", ...gradle },
  {
    name: "stock Gradle with a scope",
    prefix: "/cache/stocktenant/ios/",
    template: "/cache/{tenant}/{namespace}/{key}",
    suffix: "",
    ...gradle,
  },
  {
    name: "Nx",
    write: "PUT",
    prefix: "/v1/cache/",
    template: "/v1/cache/{hash}",
    suffix: "",
    stored: 200,
    exists: 200,
    limitBytes: 2 * GiB,
    isText: true,
  },
  {
    name: "Metro",
    write: "PUT",
    prefix: "/api/metro/cache/",
    template: "/api/metro/cache/{cache_key}",
    suffix: "",
    stored: 200,
    exists: 200,
    limitBytes: 2 * GiB,
    isText: false,
    missesOnTrouble: true,
  },
];

/** Status of a refusal that is the node's fault, where the truth would be 503. */
export function troubleStatus(dialect: Dialect, method: string): number {
  const { isText, missesOnTrouble = isText } = dialect;
  if (method === "GET") return missesOnTrouble ? 404 : 503;
  return isText ? 403 : 503;
}

export function targetOf({ prefix, suffix }: Dialect, id: string): string {
  return `${prefix}${id}${suffix}`;
}

/** Bytes in which every place differs from its neighbours, so that a shift or a cut shows. */
export function patterned(sizeBytes: number): Buffer<ArrayBuffer> {
  const bytes = Buffer.alloc(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) bytes[i] = (i * 131 + (i >> 8) * 31 + (i >> 16)) & 0xff;
  return bytes;
}

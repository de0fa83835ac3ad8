import { type DigestFunction, functionOfHash } from "../../base/digest-function.ts";
import { quoteText } from "../../catalog/text.ts";
import type { WireDigest } from "../../wire/proto/digest.ts";
import { checkSize } from "./digests.ts";
import { bad } from "./requests.ts";

/** What a resource name of the ByteStream service names. */
export type Resource = {
  /** Empty when the name has none. */
  readonly instanceName: string;
  readonly digest: WireDigest;
  readonly compressor: "identity" | "zstd";
  /** Set for uploads only: which of several uploads of the same blob. */
  readonly uploadId: string | null;
};

const decimal = /^(0|[1-9][0-9]{0,15})$/;
const uploadIdCharsMax = 128;

/** Functions whose hashes look like those of others, so that names carry them. @source remote_execution.proto. */
const namedFunctions = new Set(["blake3", "gitsha1", "sha256tree"]);
/** Functions that need not be named; some clients do all the same. */
const plainFunctions: ReadonlySet<string> = new Set<DigestFunction>([
  "sha1",
  "sha256",
  "sha384",
  "sha512",
]);

/**
 * Cuts a resource name into its parts: `[{instance}/][uploads/{uuid}/]blobs/{hash}/{size}[/...]`, or
 * `compressed-blobs/{compressor}/...` in place of `blobs/...`. The instance may have slashes; empty segments count for
 * nothing, and so does what stands behind the size.
 * @throws Fault "badRequest" on any other shape.
 * @source Remote Execution API v2, comment above the ContentAddressableStorage service.
 */
export function parseResource(name: string): Resource {
  const segments = name.split("/").filter((segment) => segment !== "");
  let at = segments.findIndex((segment) => {
    return segment === "uploads" || segment === "blobs" || segment === "compressed-blobs";
  });
  if (at < 0) throw malformed(name);
  const instanceName = segments.slice(0, at).join("/");
  let uploadId: string | null = null;
  if (segments[at] === "uploads") {
    uploadId = segments[at + 1] ?? "";
    if (uploadId === "" || uploadId.length > uploadIdCharsMax) throw malformed(name);
    at += 2;
  }
  const word = segments[at];
  at += 1;
  let compressor: Resource["compressor"] = "identity";
  if (word === "compressed-blobs") {
    compressor = compressorOf(segments[at], name);
    at += 1;
  } else if (word !== "blobs") {
    throw malformed(name);
  }
  const digestFunction = segments[at] ?? "";
  if (namedFunctions.has(digestFunction)) {
    throw bad(
      `Cannot use the resource ${quoteText(name)}: this cache has no ${digestFunction}; tell the client to use SHA-256`,
    );
  }
  if (plainFunctions.has(digestFunction)) at += 1;
  const digest = digestOf(segments[at], segments[at + 1]);
  if (digest === null) throw malformed(name);
  return { instanceName, digest: checkSize(digest), compressor, uploadId };
}

/** As `parseResource`, for uploads. */
export function parseUpload(name: string): Resource & { readonly uploadId: string } {
  const { uploadId, ...resource } = parseResource(name);
  if (uploadId === null) {
    throw bad(
      `Cannot write to the resource ${quoteText(name)}: an upload is named uploads/UUID/blobs/HASH/SIZE`,
    );
  }
  return { ...resource, uploadId };
}

function compressorOf(segment: string | undefined, name: string): Resource["compressor"] {
  if (segment === "zstd" || segment === "identity") return segment;
  throw bad(`Cannot use the resource ${quoteText(name)}: the only compressor here is zstd`);
}

function digestOf(hash: string | undefined, size: string | undefined): WireDigest | null {
  if (hash === undefined || size === undefined || !decimal.test(size)) return null;
  const digestFunction = functionOfHash(hash);
  const sizeBytes = Number(size);
  if (digestFunction === null || !Number.isSafeInteger(sizeBytes)) return null;
  return { digestFunction, hash, sizeBytes };
}

function malformed(name: string): Error {
  return bad(
    `Cannot read the resource name ${quoteText(name)}: it is INSTANCE/blobs/HASH/SIZE for a blob and INSTANCE/uploads/UUID/blobs/HASH/SIZE for an upload`,
  );
}

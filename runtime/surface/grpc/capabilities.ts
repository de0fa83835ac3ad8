import { type DigestFunction, digestFunctions } from "../../base/digest-function.ts";
import { compressors, instanceBytesMax } from "../../wire/proto/cas-messages.ts";
import { WireReader } from "../../wire/proto/wire-reader.ts";
import { WireWriter } from "../../wire/proto/wire-writer.ts";
import { digestFunctionNumbers } from "./digests.ts";
import { scopeOf } from "./instance.ts";
import { batchBytesMax } from "./limits.ts";
import { needMessage } from "./requests.ts";
import type { GrpcSurface } from "./surface.ts";

/** Fields of `GetCapabilitiesRequest`, `ServerCapabilities`, `CacheCapabilities` and `SemVer`. */
const requestFields = { instanceName: 1 } as const;
const serverFields = { cacheCapabilities: 1, lowApiVersion: 4, highApiVersion: 5 } as const;
const cacheFields = {
  digestFunctions: 1,
  actionCacheUpdateCapabilities: 2,
  maxBatchTotalSizeBytes: 4,
  symlinkAbsolutePathStrategy: 5,
  supportedCompressors: 6,
  supportedBatchUpdateCompressors: 7,
  maxCasBlobSizeBytes: 8,
} as const;
const updateFields = { updateEnabled: 1 } as const;
const versionFields = { major: 1, minor: 2 } as const;

/** Links out of a tree mean something else on another machine. @source surfaces.md 5.2. */
const symlinksDisallowed = 1;

/** Without identity, which is always allowed. */
const listedCompressors = Uint8Array.of(compressors.zstd);

/** The first one is what clients take that choose by themselves. */
const listedFunctions: readonly DigestFunction[] = [
  "sha256",
  ...digestFunctions.filter((name) => name !== "sha256"),
];

/**
 * What this cache can do, for the instance that it was asked about. There are no execution capabilities, since Buck2
 * refuses a server that has them switched off, and nothing is listed that would be answered UNIMPLEMENTED.
 */
export function getCapabilities(surface: GrpcSurface, request: Uint8Array): Uint8Array {
  const instanceName = needMessage(decodeRequest(request), "GetCapabilitiesRequest");
  // Only to refuse now what every later call would be refused for.
  scopeOf(surface, instanceName);
  const writer = new WireWriter();
  const cache = writer.begin(serverFields.cacheCapabilities);
  writer.nested(
    cacheFields.digestFunctions,
    Uint8Array.from(listedFunctions, (name) => digestFunctionNumbers[name]),
  );
  const update = writer.begin(cacheFields.actionCacheUpdateCapabilities);
  writer.flag(updateFields.updateEnabled, true);
  writer.end(update);
  writer.number(cacheFields.maxBatchTotalSizeBytes, batchBytesMax);
  writer.number(cacheFields.symlinkAbsolutePathStrategy, symlinksDisallowed);
  writer.nested(cacheFields.supportedCompressors, listedCompressors);
  writer.nested(cacheFields.supportedBatchUpdateCompressors, listedCompressors);
  writer.number(cacheFields.maxCasBlobSizeBytes, surface.config.blobBytesMax);
  writer.end(cache);
  writeVersion(writer, serverFields.lowApiVersion, { major: 2, minor: 0 });
  writeVersion(writer, serverFields.highApiVersion, { major: 2, minor: 3 });
  return writer.finish();
}

function decodeRequest(bytes: Uint8Array): string | null {
  const reader = new WireReader(bytes);
  let instanceName = "";
  while (reader.next()) {
    if (reader.field === requestFields.instanceName) instanceName = reader.utf8(instanceBytesMax);
    else reader.passOver();
  }
  return reader.isBroken ? null : instanceName;
}

function writeVersion(
  writer: WireWriter,
  field: number,
  { major, minor }: { major: number; minor: number },
): void {
  const version = writer.begin(field);
  writer.number(versionFields.major, major);
  writer.number(versionFields.minor, minor);
  writer.end(version);
}

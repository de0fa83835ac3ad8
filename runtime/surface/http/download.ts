import type { BunFile } from "bun";
import { assert, unreachable } from "../../base/assert.ts";
import type { ArtifactKind } from "../../catalog/kinds.ts";
import { RecentMap } from "../../catalog/scopes.ts";
import type { ArtifactTarget } from "../../catalog/target.ts";
import type { Result } from "../../observe/metrics.ts";
import { clientOf } from "../../observe/metrics-client.ts";
import type { Body, Manifest } from "../../store/store.ts";
import { asStoreFault, commonHeaders, jsonAnswer } from "./answer.ts";
import { checksumHeader, storedChecksum } from "./checksum.ts";
import type { Exchange } from "./exchange.ts";
import { parseRange } from "./range.ts";
import { findArtifact, resultOf } from "./upload.ts";

/** A file handle in Bun is a name, not a descriptor: 100 bytes each. */
const fileHandlesMax = 1_024;

/** A body is looked at again after its check; it can be found unchecked once more when it was replaced meanwhile. */
const checksMax = 4;

const statusWhole = 200;
const statusPart = 206;
const statusUnsatisfiable = 416;

/** Handles by path. Never read `.size` of one: Bun keeps the answer, and a file that has grown then looks cut off. */
const handles = new RecentMap<BunFile>(fileHandlesMax);

type Download = {
  readonly exchange: Exchange;
  readonly kind: ArtifactKind;
  readonly manifest: Manifest;
  readonly status: number;
  readonly startBytes: number;
  readonly endBytes: number;
};

/** Answers GET and HEAD of an artifact: 200, 206, 404 or 416. HEAD is answered from the manifest alone. */
export function sendArtifact(
  exchange: Exchange,
  target: ArtifactTarget,
  kind: ArtifactKind,
): Response | Promise<Response> {
  exchange.target = target;
  try {
    const manifest = findArtifact(exchange.surface.store(), target.name);
    if (manifest === null) return miss(exchange, kind);
    const { sizeBytes } = manifest;
    if (exchange.method === "HEAD") return describe(exchange, kind, manifest);
    const wish = rangeOf(exchange, manifest);
    switch (wish.at) {
      case "whole":
        return send(
          { exchange, kind, manifest, status: statusWhole, startBytes: 0, endBytes: sizeBytes },
          0,
        );
      case "part": {
        const { startBytes, endBytes } = wish;
        return send({ exchange, kind, manifest, status: statusPart, startBytes, endBytes }, 0);
      }
      case "unsatisfiable":
        return unsatisfiable(exchange, kind, sizeBytes);
      default:
        return unreachable(wish);
    }
  } catch (error) {
    countRead(exchange, kind, resultOf(error));
    throw error;
  }
}

function rangeOf({ request }: Exchange, manifest: Manifest): ReturnType<typeof parseRange> {
  const range = request.headers.get("range");
  if (range === null) return { at: "whole" };
  const condition = request.headers.get("if-range");
  // Another version than the client has: parts of the two would make a file that never was.
  if (condition !== null && condition.trim() !== etagOf(manifest)) return { at: "whole" };
  return parseRange(range, manifest.sizeBytes);
}

function send(download: Download, checks: number): Response | Promise<Response> {
  const { exchange, kind, manifest, startBytes, endBytes } = download;
  const body = openBody(download);
  switch (body.at) {
    // The constructor copies at once: the store may use these bytes again after the next call.
    case "bytes":
      return answer(download, body.bytes as Uint8Array<ArrayBuffer>);
    case "blob":
      return answer(download, body.blob);
    case "slice":
      // A slice past the end of a file is cut short by Bun without a word; the store vouches for the ends.
      assert(
        body.endBytes - body.startBytes === endBytes - startBytes && startBytes <= endBytes,
        `the slice of ${manifest.sizeBytes} bytes is as long as what is sent`,
      );
      return answer(download, fileHandle(body.path).slice(body.startBytes, body.endBytes));
    case "check":
      return sendAfterCheck(download, body.done, checks);
    case "damaged":
      return miss(exchange, kind);
    default:
      return unreachable(body);
  }
}

function openBody({ exchange, manifest, startBytes, endBytes }: Download): Body {
  try {
    return exchange.surface.store().open(manifest, startBytes, endBytes);
  } catch (error) {
    throw asStoreFault(error);
  }
}

/** Large bodies are checked before their first send; Bun would cut the waiting connection, so it is told not to. */
async function sendAfterCheck(
  download: Download,
  done: Promise<void>,
  checks: number,
): Promise<Response> {
  const { exchange, kind } = download;
  const { request, server, surface } = exchange;
  // An abort during the check is only known to a signal that exists by then.
  request.signal;
  server.timeout(request, 0);
  try {
    await done;
    if (checks >= checksMax) return miss(exchange, kind);
    return await send(download, checks + 1);
  } catch (error) {
    countRead(exchange, kind, resultOf(error));
    throw error;
  } finally {
    server.timeout(request, surface.idleSeconds);
  }
}

/** Status, type and disposition are always ours: without them Bun answers 206 with the segment's name (measured). */
function answer(download: Download, body: Uint8Array<ArrayBuffer> | Blob): Response {
  const { exchange, kind, manifest, status, startBytes, endBytes } = download;
  const headers = artifactHeaders(exchange, kind, manifest);
  if (status === statusPart) {
    headers["content-range"] = `bytes ${startBytes}-${endBytes - 1}/${manifest.sizeBytes}`;
  }
  const response = new Response(body, { status, headers });
  const client = clientOf(exchange.request.headers.get("user-agent"));
  const bytes = endBytes - startBytes;
  exchange.surface.deliveries.follow(exchange, { artifact: kind.place, client, bytes });
  return response;
}

function describe(exchange: Exchange, kind: ArtifactKind, manifest: Manifest): Response {
  const headers = artifactHeaders(exchange, kind, manifest);
  headers["content-length"] = String(manifest.sizeBytes);
  return new Response(null, { status: statusWhole, headers });
}

function artifactHeaders(
  exchange: Exchange,
  kind: ArtifactKind,
  manifest: Manifest,
): Record<string, string> {
  const headers: Record<string, string> = {
    "content-type": kind.contentType,
    "content-disposition": "attachment",
    etag: etagOf(manifest),
    "accept-ranges": "bytes",
    "x-request-id": exchange.requestId,
    "x-kura-region": exchange.surface.config.region,
  };
  const checksum = storedChecksum(exchange.surface.store(), manifest);
  if (checksum !== null) headers[checksumHeader] = checksum;
  return headers;
}

/** Strong: a key that was cleaned and written again has another version, even with the same size. */
function etagOf(manifest: Manifest): string {
  return `"${manifest.version}-${manifest.sizeBytes}"`;
}

function miss(exchange: Exchange, kind: ArtifactKind): Response {
  countRead(exchange, kind, "not_found");
  const headers = { ...commonHeaders(exchange), "content-type": "application/json" };
  return new Response(missBody, { status: 404, headers });
}

const missBody = JSON.stringify({ message: "There is no artifact under this key" });

function unsatisfiable(exchange: Exchange, kind: ArtifactKind, sizeBytes: number): Response {
  countRead(exchange, kind, "range_not_satisfiable");
  const message = `Cannot send this range: the artifact has ${sizeBytes} bytes`;
  const extra = { "content-range": `bytes */${sizeBytes}`, "accept-ranges": "bytes" };
  return jsonAnswer(exchange, statusUnsatisfiable, message, extra);
}

/** A HEAD books nothing. */
function countRead(exchange: Exchange, kind: ArtifactKind, result: Result): void {
  if (exchange.method === "HEAD") return;
  const client = clientOf(exchange.request.headers.get("user-agent"));
  exchange.surface.metrics.read(kind.place, client, result, 0);
}

function fileHandle(path: string): BunFile {
  const known = handles.get(path);
  if (known !== undefined) return known;
  const file = Bun.file(path);
  handles.set(path, file);
  return file;
}

import { assert, unreachable } from "../../base/assert.ts";
import { Fault } from "../../base/fault.ts";
import { MiB } from "../../base/units.ts";
import type { ArtifactKind } from "../../catalog/kinds.ts";
import type { ArtifactTarget } from "../../catalog/target.ts";
import type { Result } from "../../observe/metrics.ts";
import { clientOf } from "../../observe/metrics-client.ts";
import type { Body, Manifest } from "../../store/store.ts";
import type { Answer, AnswerBody } from "../../wire/http1/answer.ts";
import { asStoreFault, commonHeaders, jsonAnswer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { missReasonOf } from "./miss-reason.ts";
import { parseRange } from "./range.ts";
import { addReturnedHeaders } from "./returned-headers.ts";
import type { LentFile, SendFiles, Wanting } from "./send-files.ts";
import { findArtifact, resultOf } from "./upload.ts";

/** Read at one time for use here: others wait for so long. */
const readPieceBytes = MiB;

/** A body is looked at again after its check; it can be found unchecked once more when it was replaced meanwhile. */
const checksMax = 4;

type Slice = Extract<Body, { at: "slice" }>;

const statusWhole = 200;
const statusPart = 206;
const statusUnsatisfiable = 416;

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
): Answer | Promise<Answer> {
  exchange.target = target;
  try {
    const manifest = findArtifact(exchange.surface.store(), target.name);
    return manifest === null ? sendMiss(exchange, kind) : sendFound(exchange, kind, manifest);
  } catch (error) {
    countRead(exchange, kind, resultOf(error));
    throw error;
  }
}

/** Answers with what was found. What is thrown at once is the caller's to count; what comes later is counted here. */
export function sendFound(
  exchange: Exchange,
  kind: ArtifactKind,
  manifest: Manifest,
): Answer | Promise<Answer> {
  const { sizeBytes } = manifest;
  if (exchange.method === "HEAD") {
    exchange.surface.store().vouch(manifest);
    return describe(exchange, kind, manifest);
  }
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
}

function rangeOf({ request }: Exchange, manifest: Manifest): ReturnType<typeof parseRange> {
  const range = request.headers.get("range");
  if (range === null) return { at: "whole" };
  const condition = request.headers.get("if-range");
  // Another version than the client has: parts of the two would make a file that never was.
  if (condition !== null && condition.trim() !== etagOf(manifest)) return { at: "whole" };
  return parseRange(range, manifest.sizeBytes);
}

function send(download: Download, checks: number): Answer | Promise<Answer> {
  const { exchange, kind, manifest, startBytes, endBytes } = download;
  const body = openBody(download);
  switch (body.at) {
    case "bytes": {
      const headers = ownHeaders(exchange, manifest);
      if (headers === null) return sendMiss(exchange, kind);
      return answer(download, headers, { at: "bytes", bytes: body.bytes });
    }
    case "slice":
      assert(
        body.endBytes - body.startBytes === endBytes - startBytes && startBytes <= endBytes,
        `the slice of ${manifest.sizeBytes} bytes is as long as what is sent`,
      );
      return answerFile(download, body);
    case "check":
      return sendAfterCheck(download, body.done, checks);
    case "damaged":
      return sendMiss(exchange, kind);
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

/** Large bodies are checked before their first send. */
async function sendAfterCheck(
  download: Download,
  done: Promise<void>,
  checks: number,
): Promise<Answer> {
  const { exchange, kind } = download;
  try {
    await done;
    if (checks >= checksMax) return sendMiss(exchange, kind);
    return await send(download, checks + 1);
  } catch (error) {
    countRead(exchange, kind, resultOf(error));
    throw error;
  }
}

function answerFile(download: Download, slice: Slice): Answer | Promise<Answer> {
  const { exchange, kind, manifest } = download;
  // The headers first: they may have to be read, and a file that was lent before could not be given back.
  const headers = ownHeaders(exchange, manifest);
  if (headers === null) return sendMiss(exchange, kind);
  const { files } = exchange.surface;
  const lent = files.lend(slice.path, exchange.request);
  if (lent instanceof Promise) return answerLent(download, { slice, headers, lent });
  if (lent === null) return sendMiss(exchange, kind);
  const { startBytes, endBytes } = slice;
  return answer(download, headers, { at: "file", startBytes, endBytes, ...lent });
}

type Waiting = {
  readonly slice: Slice;
  readonly headers: Record<string, string>;
  readonly lent: Promise<LentFile | null>;
};

/** The file has to wait until another one is closed. */
async function answerLent(download: Download, waiting: Waiting): Promise<Answer> {
  const { exchange, kind } = download;
  const { slice, headers } = waiting;
  const { startBytes, endBytes } = slice;
  try {
    const lent = await waiting.lent;
    if (lent === null) return sendMiss(exchange, kind);
    return answer(download, headers, { at: "file", startBytes, endBytes, ...lent });
  } catch (error) {
    countRead(exchange, kind, resultOf(error));
    throw error;
  }
}

function answer(download: Download, headers: Record<string, string>, body: AnswerBody): Answer {
  const { exchange, kind, manifest, status, startBytes, endBytes } = download;
  if (status === statusPart) {
    headers["content-range"] = `bytes ${startBytes}-${endBytes - 1}/${manifest.sizeBytes}`;
  }
  const client = clientOf(exchange.request.headers.get("user-agent"));
  exchange.delivery = { artifact: kind.place, client, bytes: endBytes - startBytes };
  return { status, headers, block: exchange.surface.artifactHeaders.of(kind), body };
}

function describe(exchange: Exchange, kind: ArtifactKind, manifest: Manifest): Answer {
  const headers = ownHeaders(exchange, manifest);
  if (headers === null) return sendMiss(exchange, kind);
  const block = exchange.surface.artifactHeaders.of(kind);
  const body = { at: "none", lengthBytes: manifest.sizeBytes } as const;
  return { status: statusWhole, headers, block, body };
}

/** What differs from artifact to artifact; null when what the uploader declared is damaged. */
function ownHeaders(exchange: Exchange, manifest: Manifest): Record<string, string> | null {
  const headers: Record<string, string> = {
    etag: etagOf(manifest),
    "x-request-id": exchange.requestId,
  };
  return addReturnedHeaders(headers, exchange.surface.store(), manifest) ? headers : null;
}

/** Strong: a key that was cleaned and written again has another version, even with the same size. */
function etagOf(manifest: Manifest): string {
  return `"${manifest.version}-${manifest.sizeBytes}"`;
}

export function sendMiss(exchange: Exchange, kind: ArtifactKind): Answer {
  countRead(exchange, kind, "not_found");
  const headers = { ...commonHeaders(exchange), "content-type": "application/json" };
  return { status: 404, headers, body: missBody, hangsUp: exchange.hangsUp };
}

const missText = JSON.stringify({ message: "There is no artifact under this key" });
const missBody: AnswerBody = { at: "bytes", bytes: new TextEncoder().encode(missText) };

function unsatisfiable(exchange: Exchange, kind: ArtifactKind, sizeBytes: number): Answer {
  countRead(exchange, kind, "range_not_satisfiable");
  const message = `Cannot send this range: the artifact has ${sizeBytes} bytes`;
  const extra = { "content-range": `bytes */${sizeBytes}`, "accept-ranges": "bytes" };
  return jsonAnswer(exchange, statusUnsatisfiable, message, extra);
}

/** A HEAD books nothing. */
export function countRead(exchange: Exchange, kind: ArtifactKind, result: Result): void {
  if (exchange.method === "HEAD") return;
  const { surface, target } = exchange;
  const client = clientOf(exchange.request.headers.get("user-agent"));
  surface.metrics.read(kind.place, client, result, 0);
  if (target === null || target.name === null) return;
  const reason = missReasonOf(surface.store, kind, target.name, result);
  if (reason !== null) surface.metrics.pointerMiss(kind.place, client, target.scope, reason);
}

/**
 * A stretch of a file that the store answered with, in memory; others have their turn after each piece. Null when the
 * file is gone.
 */
export async function readSlice(
  files: SendFiles,
  { path, startBytes, endBytes }: Slice,
  wanting: Wanting,
): Promise<Uint8Array | null> {
  const lengthBytes = endBytes - startBytes;
  const lent = await files.lend(path, wanting);
  if (lent === null) return null;
  try {
    const bytes = new Uint8Array(lengthBytes);
    for (let at = 0; at < lengthBytes; at += readPieceBytes) {
      const piece = bytes.subarray(at, Math.min(at + readPieceBytes, lengthBytes));
      if (lent.file.read(piece, startBytes + at) !== piece.length) {
        throw new Fault("internal", `Cannot read ${lengthBytes} bytes of ${path}: it is shorter`);
      }
      await nextTurn();
    }
    return bytes;
  } finally {
    lent.close();
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

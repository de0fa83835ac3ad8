import { Fault } from "../../base/fault.ts";
import { isComplete } from "../../catalog/completeness.ts";
import { actionResult } from "../../catalog/kinds.ts";
import { actionKey, actionResultBytesMax } from "../../catalog/reapi.ts";
import { readWholeBody } from "../../catalog/whole-body.ts";
import { cacheShares } from "../../observe/memory-tier.ts";
import type { Result } from "../../observe/metrics.ts";
import { type ArtifactName, nameArtifact, type Scope } from "../../store/identity.ts";
import type { Call } from "../../wire/grpc/method.ts";
import { GrpcFailure, grpcCodes } from "../../wire/grpc/status.ts";
import {
  decodeGetActionResult,
  decodeUpdateActionResult,
  type GetActionResultRequest,
} from "../../wire/proto/action-cache-messages.ts";
import { type ActionResultDigests, readActionResult } from "../../wire/proto/action-result.ts";
import type { WireDigest } from "../../wire/proto/digest.ts";
import {
  findInlinePlaces,
  type InlinePlaces,
  inlineInto,
  type OutputFile,
} from "../../wire/proto/inline-result.ts";
import { resultOf } from "../http/upload.ts";
import { bodyDeps, findBlob, isEmpty } from "./blobs.ts";
import { countPointerRead, countWrite } from "./counts.ts";
import { functionOfNumber, needDigest } from "./digests.ts";
import { scopeOf } from "./instance.ts";
import { batchBytesMax } from "./limits.ts";
import { needMessage, takeFor } from "./requests.ts";
import type { GrpcSurface } from "./surface.ts";

/** Who executed an action of which nobody says it. */
const unknownWorker = "kura";

type Place = { readonly surface: GrpcSurface; readonly call: Call; readonly scope: Scope };

/**
 * The result of an action, if everything that it names is here. Its bytes are those that were stored, with what was
 * asked to be inlined as long as the answer stays small enough for any client.
 */
export async function getActionResult(
  surface: GrpcSurface,
  call: Call,
  request: Uint8Array,
): Promise<Uint8Array> {
  const message = needMessage(decodeGetActionResult(request), "GetActionResultRequest");
  const scope = scopeOf(surface, message.instanceName);
  const wanted = functionOfNumber(message.digestFunction);
  const digest = needDigest(message.actionDigest, wanted, "action digest");
  const name = nameResult(scope, digest);
  const count = (result: Result, bytes: number): void =>
    countPointerRead(surface, call, { kind: actionResult, result, bytes }, name);
  try {
    const found = await findComplete({ surface, call, scope }, name);
    if (found === "incomplete" || found === null) {
      count(found === null ? "not_found" : "incomplete", 0);
      throw new GrpcFailure(grpcCodes.notFound, missOf(digest, found));
    }
    const answer = await withInlined({ surface, call, scope }, found, message);
    count("ok", answer.length);
    return answer;
  } catch (error) {
    if (!(error instanceof GrpcFailure)) count(resultOf(error), 0);
    throw error;
  }
}

function missOf({ hash, sizeBytes }: WireDigest, why: "incomplete" | null): string {
  const what = `There is no result of the action ${hash}/${sizeBytes} in this instance`;
  return why === null ? what : `${what}: blobs that it names are not here`;
}

type Found = { readonly bytes: Uint8Array; readonly digests: ActionResultDigests };

/** Bytes that are no action result, which other tools may have stored over HTTP, are none here either. */
async function findComplete(
  { surface, call, scope }: Place,
  name: ArtifactName,
): Promise<Found | "incomplete" | null> {
  const deps = bodyDeps(surface, call);
  const found = await findResult(deps, name);
  if (found === null) return null;
  return (await isComplete(deps, scope, found.digests)) ? found : "incomplete";
}

/** Its share of the memory is back before a tree is read: who waits for more while he holds some may wait in vain. */
async function findResult(
  deps: ReturnType<typeof bodyDeps>,
  name: ArtifactName,
): Promise<Found | null> {
  const manifest = deps.store.find(name);
  if (manifest === null) return null;
  using body = await readWholeBody(deps, manifest);
  const digests = body === null ? null : readActionResult(body.bytes);
  return body === null || digests === null ? null : { bytes: body.bytes, digests };
}

function nameResult(scope: Scope, { digestFunction, hash }: WireDigest): ArtifactName {
  return nameArtifact(actionResult.producer, scope, actionKey(digestFunction, hash));
}

async function withInlined(
  place: Place,
  { bytes, digests }: Found,
  request: GetActionResultRequest,
): Promise<Uint8Array> {
  const worker = digests.hasExecutionMetadata ? null : unknownWorker;
  const { inlineStdout, inlineStderr, inlineOutputFiles } = request;
  const contents = new Map<OutputFile, Uint8Array>();
  if (!inlineStdout && !inlineStderr && inlineOutputFiles.length === 0) {
    return inlineInto(bytes, { stdout: null, stderr: null, contents, worker });
  }
  const places = findInlinePlaces(bytes);
  // Inlining is a favour that takes memory: short of it the client fetches the rest itself.
  const share = cacheShares[place.surface.status.memory.tier];
  const inliner = new Inliner(place, share * batchBytesMax - bytes.length);
  const wantsStdout = inlineStdout && !places.hasStdoutRaw;
  const wantsStderr = inlineStderr && !places.hasStderrRaw;
  const stdout = wantsStdout ? await inliner.take(digests.stdout) : null;
  const stderr = wantsStderr ? await inliner.take(digests.stderr) : null;
  for (const file of wantedFiles(places, inlineOutputFiles)) {
    const body = await inliner.take(file.digest);
    if (body !== null) contents.set(file, body);
  }
  return inlineInto(bytes, { stdout, stderr, contents, worker });
}

/** By exact path. @source point 18 of the conformance list. */
function wantedFiles({ files }: InlinePlaces, paths: readonly string[]): OutputFile[] {
  const wanted = new Set(paths);
  return files.filter(({ path, hasContents }) => wanted.has(path) && !hasContents);
}

/** Reads blobs for as long as the answer has room for them; inlining is a favour, so one that fails is left out. */
class Inliner {
  readonly #place: Place;
  #roomBytes: number;

  constructor(place: Place, roomBytes: number) {
    this.#place = place;
    this.#roomBytes = roomBytes;
  }

  async take(digest: WireDigest | null): Promise<Uint8Array | null> {
    const { surface, call, scope } = this.#place;
    if (digest === null || isEmpty(digest) || digest.sizeBytes > this.#roomBytes) return null;
    const manifest = findBlob(surface, scope, digest);
    if (manifest === null) return null;
    using body = await readWholeBody(bodyDeps(surface, call), manifest);
    if (body === null) return null;
    this.#roomBytes -= body.bytes.length;
    return body.bytes;
  }
}

/**
 * Stores the result of an action as it is, in place of an earlier one. What it names may come later: clients and
 * replication bring blobs and results in any order.
 */
export async function updateActionResult(
  surface: GrpcSurface,
  call: Call,
  request: Uint8Array,
): Promise<Uint8Array> {
  const message = needMessage(decodeUpdateActionResult(request), "UpdateActionResultRequest");
  const scope = scopeOf(surface, message.instanceName);
  const wanted = functionOfNumber(message.digestFunction);
  const digest = needDigest(message.actionDigest, wanted, "action digest");
  try {
    surface.status.memory.admitWrite();
    const body = storedForm(message.actionResult);
    await storeResult({ surface, call, scope }, digest, body);
    countWrite(surface, call, { kind: actionResult, result: "ok", bytes: body.length });
    return body;
  } catch (error) {
    const result = error instanceof GrpcFailure ? "rejected" : resultOf(error);
    countWrite(surface, call, { kind: actionResult, result, bytes: 0 });
    throw error;
  }
}

/** A copy: the message around the result would be kept for as long as the store holds it. */
function storedForm(result: Uint8Array | null): Uint8Array {
  if (result === null) {
    throw new Fault("badRequest", "Cannot store the action result: the request has none");
  }
  const digests = readActionResult(result);
  if (digests === null) {
    throw new Fault(
      "badRequest",
      "Cannot store the action result: it cannot be decoded, or a digest in it is not well-formed",
    );
  }
  const nothing = { stdout: null, stderr: null, contents: new Map<OutputFile, Uint8Array>() };
  const worker = digests.hasExecutionMetadata ? null : unknownWorker;
  const bytes = new Uint8Array(inlineInto(result, { ...nothing, worker }));
  if (bytes.length > actionResultBytesMax) {
    throw new GrpcFailure(
      grpcCodes.failedPrecondition,
      `Cannot store an action result of ${bytes.length} bytes: the limit is ${actionResultBytesMax}`,
    );
  }
  return bytes;
}

async function storeResult(
  { surface, call, scope }: Place,
  digest: WireDigest,
  body: Uint8Array,
): Promise<void> {
  const { budget } = surface;
  await takeFor(call, budget, { bytes: body.length, withinMs: resultWaitMsMax });
  try {
    await surface.store().commit({
      op: "put",
      name: nameResult(scope, digest),
      rule: actionResult.rule,
      contentType: actionResult.contentType,
      body,
      kind: actionResult.kind,
      sha256: null,
      attributes: {},
      writer: "",
    });
  } finally {
    budget.give(body.length);
  }
}

/** A result whose memory is in use waits this long. @source surfaces.md 5.6. */
const resultWaitMsMax = 1_000;

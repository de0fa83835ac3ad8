import { sha256, startSha256 } from "../../base/digest.ts";
import { Fault } from "../../base/fault.ts";
import { completionBytesMax } from "../../base/limits.ts";
import { moduleEntry } from "../../catalog/kinds.ts";
import { type Completion, parseCompletion } from "../../catalog/module.ts";
import type { Assembly, CompletionOutcome } from "../../store/multipart.ts";
import type { BodyFacts, StagedBody } from "../../store/store.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { asStoreFault, emptyAnswer } from "./answer.ts";
import { waitOptions } from "./body-chunks.ts";
import { checkDigest } from "./body-digest.ts";
import { checksumHeader } from "./checksum.ts";
import type { Exchange } from "./exchange.ts";
import { findUpload, type ModuleUpload, required } from "./module-upload.ts";
import { readParameters } from "./query.ts";
import { receiveSmall } from "./receive-small.ts";
import { commit, countWrite, resultOf } from "./upload.ts";

/** POST of the list of parts: answered when the module is durable, or was there already. */
export async function completeModule(exchange: Exchange): Promise<Answer> {
  try {
    const { outcome, sizeBytes } = await complete(exchange);
    const isStored = outcome === "stored";
    countWrite(exchange, moduleEntry, isStored ? "ok" : "exists", isStored ? sizeBytes : 0);
    return emptyAnswer(exchange, 204);
  } catch (error) {
    countWrite(exchange, moduleEntry, resultOf(error), 0);
    throw error;
  }
}

type Completed = { readonly outcome: CompletionOutcome; readonly sizeBytes: number };

async function complete(exchange: Exchange): Promise<Completed> {
  exchange.surface.status.memory.admitWrite();
  const { upload_id } = readParameters(exchange.query, ["upload_id"]);
  const upload = findUpload(exchange, required(upload_id, "upload_id"));
  const { parts, sha256: declared } = await receiveCompletion(exchange);
  const facts: BodyFacts = {
    kind: moduleEntry.kind,
    sha256: declared,
    attributes:
      declared === null ? {} : { [checksumHeader]: Buffer.from(declared).toString("hex") },
    writer: "",
  };
  let sizeBytes = 0;
  const { uploads } = exchange.surface.store();
  const outcome = await uploads.complete(upload.id, parts, (assembly) => {
    sizeBytes = assembly.sizeBytes;
    return storeModule({ exchange, upload, facts, assembly });
  });
  return { outcome, sizeBytes };
}

async function receiveCompletion(exchange: Exchange): Promise<Completion> {
  requireJson(exchange);
  using received = await receiveSmall({ exchange, limitBytes: completionBytesMax });

  return parseCompletion(received.bytes);
}

/** @source surfaces.md 4.4: the reference's framework takes `application/json` and `application/*+json` only. */
function requireJson({ request }: Exchange): void {
  const type = request.headers.get("content-type") ?? "";
  if (/^application\/([^;\s]+\+)?json\s*(;|$)/i.test(type.trim())) return;
  throw new Fault("mediaType", "Cannot read the list of parts: send it as application/json");
}

type ModuleBody = {
  readonly exchange: Exchange;
  readonly upload: ModuleUpload;
  readonly facts: BodyFacts;
  readonly assembly: Assembly;
};

/** Small modules take the way of small bodies, through memory into the log; others get a file of their own. */
async function storeModule(module: ModuleBody): Promise<CompletionOutcome> {
  const { exchange, assembly } = module;
  const { budget, config } = exchange.surface;
  if (assembly.sizeBytes > config.journalBodyBytesMax) {
    return await commitModule(module, await stageModule(module));
  }
  await budget.take(assembly.sizeBytes, waitOptions(exchange));
  try {
    return await commitModule(module, await gatherModule(module));
  } finally {
    budget.give(assembly.sizeBytes);
  }
}

async function gatherModule({ facts, assembly }: ModuleBody): Promise<Uint8Array> {
  const body = new Uint8Array(assembly.sizeBytes);
  let at = 0;
  await assembly.read((chunk) => {
    body.set(chunk, at);
    at += chunk.length;
  });
  if (facts.sha256 !== null) checkDeclared(sha256(body), facts.sha256);
  return body;
}

async function stageModule({ exchange, upload, facts, assembly }: ModuleBody): Promise<StagedBody> {
  const stage = exchange.surface.store().stage(assembly.sizeBytes);
  try {
    const hash = facts.sha256 === null ? null : startSha256();
    await assembly.read(async (chunk) => {
      hash?.update(chunk);
      await stage.write(chunk);
    });
    if (hash !== null && facts.sha256 !== null) checkDeclared(hash.digest(), facts.sha256);
    return await stage.finish(upload.target.name, facts);
  } catch (error) {
    stage.discard();
    throw asStoreFault(error);
  }
}

function checkDeclared(actual: Uint8Array, declared: Uint8Array): void {
  checkDigest(actual, { digestFunction: "sha256", bytes: declared, by: "header" });
}

async function commitModule(
  { exchange, upload, facts }: ModuleBody,
  body: Uint8Array | StagedBody,
): Promise<CompletionOutcome> {
  const { rule, contentType } = moduleEntry;
  const outcome = await commit(exchange.surface.store(), {
    op: "put",
    name: upload.target.name,
    rule,
    contentType,
    body,
    ...facts,
  });
  return outcome.at === "stored" ? "stored" : "exists";
}

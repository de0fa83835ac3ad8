import { Fault } from "../../base/fault.ts";
import type { ArtifactKind } from "../../catalog/kinds.ts";
import type { ArtifactTarget } from "../../catalog/target.ts";
import type { Result } from "../../observe/metrics.ts";
import { clientOf } from "../../observe/metrics-client.ts";
import type { ArtifactName } from "../../store/identity.ts";
import type { Attributes, BodyFacts, Change, Manifest, Outcome, Store } from "../../store/store.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { asStoreFault, emptyAnswer, hangUpWhenLong } from "./answer.ts";
import type { NamedDigest } from "./body-digest.ts";
import { checksumHeader, declaredChecksum } from "./checksum.ts";
import type { Exchange } from "./exchange.ts";
import { receiveBody } from "./receive.ts";

/** How a surface takes a body. */
export type UploadRule = {
  readonly kind: ArtifactKind;
  readonly limitBytes: number;
  /** Status for what was not there before. */
  readonly storedStatus: number;
  /** Status for what was there already and stays as it is. */
  readonly existsStatus: number;
  /** The digest that the path names the body by: checked in place of a declared one, which is not read then. */
  readonly named?: NamedDigest;
  /** What the client sent with the body and gets back with it; see `returned-headers.ts`. */
  readonly attributes?: Attributes;
};

/**
 * Stores a body by the rule of its kind. Where the first one stays, what exists is answered at once, with the body
 * unread. The checksum is read before that, so that a broken client hears of it every time.
 */
export function storeArtifact(
  exchange: Exchange,
  target: ArtifactTarget,
  rule: UploadRule,
): Answer | Promise<Answer> {
  exchange.target = target;
  const { headers } = exchange.request;
  const declaredSha256 = rule.named === undefined ? declaredChecksum(headers) : null;
  const store = exchange.surface.store();
  const existing = rule.kind.rule === "lastWins" ? null : findArtifact(store, target.name);
  if (existing === null) {
    return receiveAndCommit({ exchange, target, rule, declaredSha256, store });
  }
  store.vouch(existing);
  countWrite(exchange, rule.kind, "exists", 0);
  hangUpWhenLong(exchange, rule.limitBytes);
  return emptyAnswer(exchange, rule.existsStatus);
}

type ArtifactUpload = {
  readonly exchange: Exchange;
  readonly target: ArtifactTarget;
  readonly rule: UploadRule;
  readonly declaredSha256: Uint8Array | null;
  readonly store: Store;
};

async function receiveAndCommit(upload: ArtifactUpload): Promise<Answer> {
  const { exchange, target, rule, declaredSha256, store } = upload;
  const { kind, limitBytes, named, attributes: given } = rule;
  const { name } = target;
  const facts: BodyFacts = {
    kind: kind.kind,
    sha256: named?.digestFunction === "sha256" ? named.bytes : declaredSha256,
    attributes: { ...given, ...checksumAttribute(declaredSha256) },
    writer: "",
  };
  try {
    exchange.surface.status.memory.admitWrite();
    using received = await receiveBody({ exchange, name, limitBytes, facts, named });

    const { body } = received;
    const { rule: writeRule, contentType } = kind;
    const { sha256, attributes, writer } = facts;
    const change: Change = {
      op: "put",
      name,
      rule: writeRule,
      contentType,
      body,
      kind: kind.kind,
      sha256,
      attributes,
      writer,
    };
    const outcome = await commit(store, change);
    const isStored = outcome.at === "stored";
    countWrite(exchange, kind, isStored ? "ok" : "exists", isStored ? received.sizeBytes : 0);
    return emptyAnswer(exchange, isStored ? rule.storedStatus : rule.existsStatus);
  } catch (error) {
    countWrite(exchange, kind, resultOf(error), 0);
    throw error;
  }
}

export async function commit(store: Store, change: Change): Promise<Outcome> {
  try {
    return await store.commit(change);
  } catch (error) {
    throw asStoreFault(error);
  }
}

export function findArtifact(store: Store, name: ArtifactName): Manifest | null {
  try {
    return store.find(name);
  } catch (error) {
    throw asStoreFault(error);
  }
}

export function countWrite(
  exchange: Exchange,
  kind: ArtifactKind,
  result: Result,
  bytes: number,
): void {
  const client = clientOf(exchange.request.headers.get("user-agent"));
  exchange.surface.metrics.write(kind.place, client, result, bytes);
}

/** How a failed transfer is counted. */
export function resultOf(error: unknown): Result {
  if (!(error instanceof Fault)) return "error";
  switch (error.code) {
    case "tooLarge":
      return "too_large";
    case "badRequest":
    case "checksumMismatch":
    case "mediaType":
    case "unprocessable":
      return "rejected";
    case "missing":
      return "not_found";
    case "clientClosed":
    case "timeout":
      return "client_aborted";
    case "overloaded":
    case "full":
      return "shed";
    default:
      return "error";
  }
}

function checksumAttribute(sha256: Uint8Array | null): Attributes {
  if (sha256 === null) return {};
  return { [checksumHeader]: Buffer.from(sha256).toString("hex") };
}

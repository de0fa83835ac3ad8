import { instanceBytesMax } from "./cas-messages.ts";
import { type RawDigest, readRawDigest } from "./raw-digest.ts";
import { WireReader } from "./wire-reader.ts";

/**
 * Requests of the `ActionCache` service. Results themselves stay the bytes that they came as: see `action-result.ts`.
 * Decoders return null for bytes that are no such message and never throw.
 * @source remote_execution.proto, version 2.
 */

export type GetActionResultRequest = {
  readonly instanceName: string;
  readonly actionDigest: RawDigest | null;
  readonly inlineStdout: boolean;
  readonly inlineStderr: boolean;
  readonly inlineOutputFiles: readonly string[];
  readonly digestFunction: number;
};

const getFields = {
  instanceName: 1,
  actionDigest: 2,
  inlineStdout: 3,
  inlineStderr: 4,
  inlineOutputFiles: 5,
  digestFunction: 6,
} as const;
/** PATH_MAX of Linux. */
const pathBytesMax = 4_096;

export function decodeGetActionResult(bytes: Uint8Array): GetActionResultRequest | null {
  const reader = new WireReader(bytes);
  const inlineOutputFiles: string[] = [];
  let actionDigest: RawDigest | null = null;
  let instanceName = "";
  let inlineStdout = false;
  let inlineStderr = false;
  let digestFunction = 0;
  while (reader.next()) {
    switch (reader.field) {
      case getFields.instanceName:
        instanceName = reader.utf8(instanceBytesMax);
        break;
      case getFields.actionDigest:
        actionDigest = readRawDigest(reader);
        break;
      case getFields.inlineStdout:
        inlineStdout = reader.number() !== 0;
        break;
      case getFields.inlineStderr:
        inlineStderr = reader.number() !== 0;
        break;
      case getFields.inlineOutputFiles:
        inlineOutputFiles.push(reader.utf8(pathBytesMax));
        break;
      case getFields.digestFunction:
        digestFunction = reader.number();
        break;
      default:
        reader.passOver();
    }
  }
  if (reader.isBroken) return null;
  return {
    instanceName,
    actionDigest,
    inlineStdout,
    inlineStderr,
    inlineOutputFiles,
    digestFunction,
  };
}

export type UpdateActionResultRequest = {
  readonly instanceName: string;
  readonly actionDigest: RawDigest | null;
  /** The bytes of the result; null when the request has none. */
  readonly actionResult: Uint8Array | null;
  readonly digestFunction: number;
};

const updateFields = {
  instanceName: 1,
  actionDigest: 2,
  actionResult: 3,
  digestFunction: 5,
} as const;

export function decodeUpdateActionResult(bytes: Uint8Array): UpdateActionResultRequest | null {
  const reader = new WireReader(bytes);
  let actionDigest: RawDigest | null = null;
  let actionResult: Uint8Array | null = null;
  let instanceName = "";
  let digestFunction = 0;
  while (reader.next()) {
    switch (reader.field) {
      case updateFields.instanceName:
        instanceName = reader.utf8(instanceBytesMax);
        break;
      case updateFields.actionDigest:
        actionDigest = readRawDigest(reader);
        break;
      case updateFields.actionResult:
        actionResult = reader.take();
        break;
      case updateFields.digestFunction:
        digestFunction = reader.number();
        break;
      default:
        reader.passOver();
    }
  }
  return reader.isBroken ? null : { instanceName, actionDigest, actionResult, digestFunction };
}

import { sha256 } from "../../../runtime/base/digest.ts";
import { readActionResult } from "../../../runtime/wire/proto/action-result.ts";
import type { RawDigest } from "../../../runtime/wire/proto/raw-digest.ts";
import type { Contents } from "../contents.ts";
import { type AnswerReader, BlobAnswers, type Judge, WholeAnswers } from "./answers.ts";
import { Blobs } from "./blobs.ts";
import {
  batchReadItemFields,
  batchUpdatedItemFields,
  decodeBatchAnswer,
  decodeCommittedSize,
  encodeActionResult,
  encodeBatchRead,
  encodeBatchUpdate,
  encodeFindMissing,
  encodeGetActionResult,
  encodeRead,
  encodeUpdateActionResult,
  framed,
} from "./messages.ts";
import {
  digestsPerSearch,
  type GrpcOperation,
  isStreamed,
  outputsPerResult,
  smallBlobBytes,
} from "./operations.ts";
import { BlobWrites, type Requests, WholeRequests } from "./sources.ts";

/** The calls of one operation, numbered from 0. */
export type Workload = {
  readonly operation: GrpcOperation;
  /** Bytes of blobs or of results that a call moves either way. */
  readonly bodyBytes: number;
  readonly makeRequests: () => Requests;
  readonly makeAnswers: () => AnswerReader;
};

export type WorkloadOptions = {
  readonly contents: Contents;
  readonly instanceName: string;
  readonly seed: number;
  /** Tells what is written by this run from what earlier runs have written. */
  readonly run: string;
  readonly sizeBytes: number;
  /** Different calls of the operations that read. */
  readonly keys: number;
  /** Of a message that carries a part of a write. */
  readonly pieceBytes: number;
};

/** Calls, and those that must have been made once before them, in their order. */
export type Prepared = {
  readonly measured: Workload;
  readonly fills: readonly { readonly workload: Workload; readonly count: number }[];
};

export function prepare(operation: GrpcOperation, options: WorkloadOptions): Prepared {
  const { keys } = options;
  const read = { name: "read", seed: options.seed };
  const fresh = { name: `write/${options.run}/${operation}`, seed: options.seed };
  const streamed = (space: typeof read): Blobs =>
    new Blobs(options.contents, options.sizeBytes, space);
  const small = (space: typeof read): Blobs => new Blobs(options.contents, smallBlobBytes, space);
  switch (operation) {
    case "Read": {
      const blobs = streamed(read);
      const fills = [{ workload: writes(options, blobs), count: keys }];
      return { measured: reads(options, blobs), fills };
    }
    case "Write":
      return { measured: writes(options, streamed(fresh)), fills: [] };
    case "BatchReadBlobs": {
      const blobs = small(read);
      const fills = [{ workload: batchUpdates(options, blobs), count: keys }];
      return { measured: batchReads(options, blobs), fills };
    }
    case "BatchUpdateBlobs":
      return { measured: batchUpdates(options, small(fresh)), fills: [] };
    case "FindMissingBlobs": {
      const blobs = small(read);
      const count = Math.max(keys, digestsPerSearch);
      const fills = [{ workload: batchUpdates(options, blobs), count }];
      return { measured: searches(options, blobs, count), fills };
    }
    case "GetActionResult": {
      const blobs = small(read);
      const named = { workload: batchUpdates(options, blobs), count: keys * outputsPerResult };
      const results = { workload: resultUpdates(options, blobs, read.name), count: keys };
      return { measured: resultReads(options, blobs, read.name), fills: [named, results] };
    }
    case "UpdateActionResult":
      return { measured: resultUpdates(options, small(read), fresh.name), fills: [] };
  }
}

/** Bytes of the message that a call is about: a result, a list of digests, or a blob. */
export function bodyBytesOf(operation: GrpcOperation, sizeBytes: number): number {
  if (isStreamed(operation)) return sizeBytes;
  const digest = { hash: "0".repeat(64), sizeBytes: smallBlobBytes };
  const many = (count: number): RawDigest[] => Array.from({ length: count }, () => digest);
  switch (operation) {
    case "GetActionResult":
    case "UpdateActionResult":
      return encodeActionResult(many(outputsPerResult)).length;
    case "FindMissingBlobs":
      return encodeFindMissing("", many(digestsPerSearch)).length;
    default:
      return smallBlobBytes;
  }
}

/** Every operation that reads has few different requests: they are made once. */
function repeated(
  operation: GrpcOperation,
  count: number,
  parts: {
    readonly bodyBytes: number;
    readonly encode: (index: number) => Uint8Array;
    readonly makeAnswers: () => AnswerReader;
  },
): Workload {
  const requests = Array.from({ length: count }, (_, index) => framed(parts.encode(index)));
  const bytesOf = (index: number): Buffer => requests[index % count]!;
  return {
    operation,
    bodyBytes: parts.bodyBytes,
    makeRequests: () => new WholeRequests(bytesOf),
    makeAnswers: parts.makeAnswers,
  };
}

function reads({ instanceName, keys }: WorkloadOptions, blobs: Blobs): Workload {
  return repeated("Read", keys, {
    bodyBytes: blobs.sizeBytes,
    encode: (index) =>
      encodeRead(`${instanceName}/blobs/${blobs.hashOf(index)}/${blobs.sizeBytes}`),
    makeAnswers: () => new BlobAnswers(blobs),
  });
}

function writes({ instanceName, pieceBytes }: WorkloadOptions, blobs: Blobs): Workload {
  const { sizeBytes } = blobs;
  const nameOf = (index: number): string => {
    const hash = blobs.hashOf(index);
    return `${instanceName}/uploads/${uuidOf(hash)}/blobs/${hash}/${sizeBytes}`;
  };
  return {
    operation: "Write",
    bodyBytes: sizeBytes,
    makeRequests: () => new BlobWrites(blobs, pieceBytes, nameOf),
    makeAnswers: () => new WholeAnswers((message) => decodeCommittedSize(message) === sizeBytes),
  };
}

/** Any 128 bits in the form of a UUID. */
function uuidOf(hash: string): string {
  const ends = [8, 12, 16, 20, 32];
  return ends.map((end, place) => hash.slice(ends[place - 1] ?? 0, end)).join("-");
}

function batchReads({ instanceName, keys }: WorkloadOptions, blobs: Blobs): Workload {
  const judge: Judge = (message, index) => {
    const [item, ...more] = decodeBatchAnswer(message, batchReadItemFields) ?? [];
    if (item === undefined || more.length > 0 || item.statusCode !== 0) return false;
    const { buffer, byteOffset, length } = item.data;
    const data = Buffer.from(buffer, byteOffset, length);
    return length === blobs.sizeBytes && blobs.matches({ index, atBytes: 0 }, data, 0, length);
  };
  return repeated("BatchReadBlobs", keys, {
    bodyBytes: blobs.sizeBytes,
    encode: (index) => encodeBatchRead(instanceName, digestOf(blobs, index)),
    makeAnswers: () => new WholeAnswers(judge),
  });
}

/** Each call has its own blob: digest and bytes are put into a request that is there already. */
function batchUpdates({ instanceName }: WorkloadOptions, blobs: Blobs): Workload {
  const { sizeBytes } = blobs;
  const data = Buffer.alloc(sizeBytes);
  blobs.copy({ index: 0, fromBytes: 0 }, data, 0, sizeBytes);
  const template = framed(encodeBatchUpdate(instanceName, digestOf(blobs, 0), data));
  const hashAt = template.indexOf(blobs.hashOf(0));
  const dataAt = template.length - sizeBytes;
  const makeRequests = (): Requests => {
    const own = Buffer.from(template);
    return new WholeRequests((index) => {
      own.write(blobs.hashOf(index), hashAt, "latin1");
      blobs.copy({ index, fromBytes: 0 }, own, dataAt, sizeBytes);
      return own;
    });
  };
  const judge: Judge = (message) => {
    const items = decodeBatchAnswer(message, batchUpdatedItemFields);
    return items?.length === 1 && items[0]?.statusCode === 0;
  };
  const makeAnswers = (): AnswerReader => new WholeAnswers(judge);
  return { operation: "BatchUpdateBlobs", bodyBytes: sizeBytes, makeRequests, makeAnswers };
}

/** All digests are there, so every answer is empty. */
function searches({ instanceName, keys }: WorkloadOptions, blobs: Blobs, count: number): Workload {
  const digests = Array.from({ length: count }, (_, index) => digestOf(blobs, index));
  const encode = (index: number): Uint8Array => {
    const wanted = Array.from({ length: digestsPerSearch }, (_, place) => {
      return digests[(index * outputsPerResult + place) % count]!;
    });
    return encodeFindMissing(instanceName, wanted);
  };
  return repeated("FindMissingBlobs", keys, {
    bodyBytes: encode(0).length,
    encode,
    makeAnswers: () => new WholeAnswers((message) => message.length === 0),
  });
}

function resultReads(
  { instanceName, seed, keys }: WorkloadOptions,
  blobs: Blobs,
  name: string,
): Workload {
  return repeated("GetActionResult", keys, {
    bodyBytes: encodeActionResult(outputsOf(blobs, 0)).length,
    encode: (index) => encodeGetActionResult(instanceName, actionOf(`${name}/${seed}`, index)),
    makeAnswers: () => new WholeAnswers((message, index) => namesOutputs(message, blobs, index)),
  });
}

function resultUpdates(
  { instanceName, seed, keys }: WorkloadOptions,
  blobs: Blobs,
  name: string,
): Workload {
  const space = `${name}/${seed}`;
  const first = encodeActionResult(outputsOf(blobs, 0));
  const makeRequests = (): Requests =>
    new WholeRequests((index) => {
      const result = index < keys ? encodeActionResult(outputsOf(blobs, index)) : first;
      return framed(encodeUpdateActionResult(instanceName, actionOf(space, index), result));
    });
  const judge: Judge = (message, index) => namesOutputs(message, blobs, index < keys ? index : 0);
  return {
    operation: "UpdateActionResult",
    bodyBytes: first.length,
    makeRequests,
    makeAnswers: () => new WholeAnswers(judge),
  };
}

function namesOutputs(message: Buffer, blobs: Blobs, index: number): boolean {
  const files = readActionResult(message)?.files ?? [];
  const wanted = outputsOf(blobs, index);
  return (
    files.length === wanted.length &&
    files.every(({ hash, sizeBytes }, place) => {
      return hash === wanted[place]?.hash && sizeBytes === blobs.sizeBytes;
    })
  );
}

/** The outputs of result `index`: blobs that no other result names. */
function outputsOf(blobs: Blobs, index: number): RawDigest[] {
  return Array.from({ length: outputsPerResult }, (_, place) =>
    digestOf(blobs, index * outputsPerResult + place),
  );
}

function digestOf(blobs: Blobs, index: number): RawDigest {
  return { hash: blobs.hashOf(index), sizeBytes: blobs.sizeBytes };
}

/** Nobody looks for the action itself. */
function actionOf(space: string, index: number): RawDigest {
  const hash = Buffer.from(sha256(`action/${space}/${index}`)).toString("hex");
  return { hash, sizeBytes: 142 };
}

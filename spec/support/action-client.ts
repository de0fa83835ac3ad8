import {
  batchReadItemFields,
  batchUpdatedItemFields,
  decodeBatchAnswer,
  encodeActionResult,
  encodeFindMissing,
  encodeGetActionResult,
  encodeRead,
  encodeUpdateActionResult,
} from "../../cli/bench/grpc/messages.ts";
import { grpcPaths } from "../../cli/bench/grpc/operations.ts";
import { MiB } from "../../runtime/base/units.ts";
import { grpcCodes } from "../../runtime/wire/grpc/status.ts";
import {
  type RawDigest,
  readRawDigest,
  writeRawDigest,
} from "../../runtime/wire/proto/raw-digest.ts";
import { WireReader } from "../../runtime/wire/proto/wire-reader.ts";
import { WireWriter } from "../../runtime/wire/proto/wire-writer.ts";
import { hashOf, type NumberedBlobs } from "./action-blobs.ts";
import type { CallEnd, GrpcCaller } from "./grpc-caller.ts";

/** A call that was refused or lost. */
export class CallRefused extends Error {
  readonly code: number;

  constructor(what: string, { code, words }: Pick<CallEnd, "code" | "words">) {
    super(`${what} ended with ${code} ${words}`);
    this.code = code;
  }
}

/** Stays below the limit of a message with all that stands around the blobs. */
const batchBytesMax = 3 * MiB;
/** As clients do it: what is larger goes by stream. */
const batchedBytesMax = MiB;
const findFields = { missing: 2 } as const;
const batchFields = { instanceName: 1, items: 2, digest: 1, data: 2 } as const;
const readDataField = 10;
const prefixBytes = 5;

/** What Bazel does with a cache: actions whose results name numbered blobs. */
export class ActionClient {
  readonly #caller: GrpcCaller;
  readonly #blobs: NumberedBlobs;
  readonly #instance: string;

  constructor(caller: GrpcCaller, blobs: NumberedBlobs, instance: string) {
    this.#caller = caller;
    this.#blobs = blobs;
    this.#instance = instance;
  }

  /** Which of these blobs the node says it does not have. @throws CallRefused. */
  async missing(numbers: readonly number[]): Promise<number[]> {
    const digests = numbers.map((number) => this.#blobs.digestOf(number));
    const request = encodeFindMissing(this.#instance, digests);
    const end = await this.#unary("FindMissingBlobs", request);
    const reader = new WireReader(end.bytes);
    const absent = new Set<string>();
    while (reader.next()) {
      if (reader.field === findFields.missing) absent.add(readRawDigest(reader).hash);
      else reader.passOver();
    }
    return numbers.filter((_, place) => absent.has(digests[place]!.hash));
  }

  /** Returns the bytes that were written. @throws CallRefused. */
  async upload(numbers: readonly number[]): Promise<number> {
    let sentBytes = 0;
    let batch: { digest: RawDigest; data: Buffer }[] = [];
    let batchBytes = 0;
    const send = async (): Promise<void> => {
      if (batch.length > 0) await this.#update(batch);
      batch = [];
      batchBytes = 0;
    };
    for (const number of numbers) {
      const data = this.#blobs.bytesOf(number);
      const digest = this.#blobs.digestOf(number);
      sentBytes += data.length;
      if (data.length > batchedBytesMax) {
        await this.#write(digest, data);
        continue;
      }
      if (batchBytes + data.length > batchBytesMax) await send();
      batch.push({ digest, data });
      batchBytes += data.length;
    }
    await send();
    return sentBytes;
  }

  /** Returns the bytes of the result. @throws CallRefused. */
  async putResult(action: number, numbers: readonly number[]): Promise<number> {
    const result = this.#resultOf(numbers);
    await this.#unary(
      "UpdateActionResult",
      encodeUpdateActionResult(this.#instance, actionDigest(action), result),
    );
    return result.length;
  }

  /** False for a miss. @throws CallRefused, or Error when the result is not the one that was put. */
  async hasResult(action: number, numbers: readonly number[]): Promise<boolean> {
    const request = encodeGetActionResult(this.#instance, actionDigest(action));
    const end = await this.#caller.unary(grpcPaths.GetActionResult, request);
    if (end.code === grpcCodes.notFound) return false;
    if (end.code !== grpcCodes.ok) throw new CallRefused("GetActionResult", end);
    const isRight = end.bytes.equals(this.#resultOf(numbers));
    if (!isRight) throw new Error(`The result of action ${action} is not what was put`);
    return true;
  }

  /** Which of these blobs cannot be read. @throws CallRefused, or Error on a body that is not the blob's. */
  async unreadable(numbers: readonly number[]): Promise<number[]> {
    const absent: number[] = [];
    let batch: number[] = [];
    let batchBytes = 0;
    const readBatch = async (): Promise<void> => {
      if (batch.length > 0) absent.push(...(await this.#readBatch(batch)));
      batch = [];
      batchBytes = 0;
    };
    for (const number of numbers) {
      const { sizeBytes } = this.#blobs.digestOf(number);
      if (sizeBytes > batchedBytesMax) {
        if (!(await this.#readStream(number))) absent.push(number);
        continue;
      }
      if (batchBytes + sizeBytes > batchBytesMax) await readBatch();
      batch.push(number);
      batchBytes += sizeBytes;
    }
    await readBatch();
    return absent;
  }

  async #update(batch: readonly { digest: RawDigest; data: Uint8Array }[]): Promise<void> {
    const writer = new WireWriter(batchBytesMax);
    writer.text(batchFields.instanceName, this.#instance);
    for (const { digest, data } of batch) {
      const item = writer.begin(batchFields.items);
      writeRawDigest(writer, batchFields.digest, digest);
      writer.bytes(batchFields.data, data);
      writer.end(item);
    }
    const end = await this.#unary("BatchUpdateBlobs", writer.finish());
    const answers = decodeBatchAnswer(end.bytes, batchUpdatedItemFields) ?? [];
    if (answers.length !== batch.length) throw new Error("A batch was answered in part");
    const refused = answers.find(({ statusCode }) => statusCode !== grpcCodes.ok);
    if (refused === undefined) return;
    throw new CallRefused("A blob of a batch", { code: refused.statusCode, words: "" });
  }

  async #write({ hash, sizeBytes }: RawDigest, data: Uint8Array): Promise<void> {
    const name = `${this.#instance}/uploads/${crypto.randomUUID()}/blobs/${hash}/${sizeBytes}`;
    const end = await this.#caller.write(name, data);
    if (end.code !== grpcCodes.ok) throw new CallRefused("Write", end);
  }

  async #readBatch(numbers: readonly number[]): Promise<number[]> {
    const writer = new WireWriter();
    writer.text(batchFields.instanceName, this.#instance);
    for (const number of numbers) {
      writeRawDigest(writer, batchFields.items, this.#blobs.digestOf(number));
    }
    const end = await this.#unary("BatchReadBlobs", writer.finish());
    const answers = decodeBatchAnswer(end.bytes, batchReadItemFields) ?? [];
    if (answers.length !== numbers.length) throw new Error("A batch was answered in part");
    return numbers.filter((number, place) => {
      const { statusCode, data } = answers[place]!;
      if (statusCode === grpcCodes.notFound) return true;
      if (statusCode !== grpcCodes.ok)
        throw new CallRefused("A read", { code: statusCode, words: "" });
      const isRight = hashOf(data) === this.#blobs.digestOf(number).hash;
      if (!isRight) throw new Error(`Blob ${number} has other bytes than were written`);
      return false;
    });
  }

  /** False when it is not there. */
  async #readStream(number: number): Promise<boolean> {
    const { hash, sizeBytes } = this.#blobs.digestOf(number);
    const name = `${this.#instance}/blobs/${hash}/${sizeBytes}`;
    const end = await this.#caller.stream(grpcPaths.Read, encodeRead(name));
    if (end.code === grpcCodes.notFound) return false;
    if (end.code !== grpcCodes.ok) throw new CallRefused("Read", end);
    if (hashOf(joinData(end.bytes)) !== hash) throw new Error(`Blob ${number} has other bytes`);
    return true;
  }

  async #unary(name: keyof typeof grpcPaths, request: Uint8Array): Promise<CallEnd> {
    const end = await this.#caller.unary(grpcPaths[name], request);
    if (end.code !== grpcCodes.ok) throw new CallRefused(name, end);
    return end;
  }

  #resultOf(numbers: readonly number[]): Uint8Array {
    return encodeActionResult(numbers.map((number) => this.#blobs.digestOf(number)));
  }
}

/** Nothing is stored under the digest of an action itself. */
function actionDigest(action: number): RawDigest {
  return { hash: hashOf(Buffer.from(`action ${action}`)), sizeBytes: 100 };
}

/** The data of all messages of a read. */
function joinData(messages: Buffer): Buffer {
  const parts: Uint8Array[] = [];
  for (let at = 0; at + prefixBytes <= messages.length; ) {
    const lengthBytes = messages.readUInt32BE(at + 1);
    const reader = new WireReader(
      messages.subarray(at + prefixBytes, at + prefixBytes + lengthBytes),
    );
    while (reader.next()) {
      if (reader.field === readDataField) parts.push(reader.take());
      else reader.passOver();
    }
    at += prefixBytes + lengthBytes;
  }
  return Buffer.concat(parts);
}

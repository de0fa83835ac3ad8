import { batchUpdatedItemFields, decodeBatchAnswer } from "../../cli/bench/grpc/messages.ts";
import { grpcPaths } from "../../cli/bench/grpc/operations.ts";
import { grpcCodes } from "../../runtime/wire/grpc/status.ts";
import { writeRawDigest } from "../../runtime/wire/proto/raw-digest.ts";
import { WireWriter } from "../../runtime/wire/proto/wire-writer.ts";
import { hashOf } from "./action-blobs.ts";
import { GrpcCaller } from "./grpc-caller.ts";
import { openLoadConnection } from "./load-client.ts";

/** Blobs so small that millions of them are written in minutes. */
const blobBytes = 128;

const instance = "many";
/** Together less than the node lets wait: 4,096. */
const blobsPerBatch = 500;
const batchesAtOnce = 6;
const readers = 16;
const answerMsMax = 60_000;
const batchFields = { instanceName: 1, requests: 2, digest: 1, data: 2 } as const;

function bodyOf(number: number): Buffer {
  return Buffer.alloc(blobBytes, `${number}.`, "latin1");
}

/** The path under which Bazel reads a blob over HTTP. */
function blobPath(number: number): string {
  return `/${instance}/cas/${hashOf(bodyOf(number))}`;
}

/** Writes blobs `first` to `end` - 1 in batches. @throws when one is refused. */
export async function writeMillions(grpcPort: number, first: number, end: number): Promise<void> {
  const caller = new GrpcCaller(grpcPort);
  let next = first;
  const lane = async (): Promise<void> => {
    while (next < end) {
      const from = next;
      next = Math.min(end, next + blobsPerBatch);
      await writeBatch(caller, from, next);
    }
  };
  try {
    await Promise.all(Array.from({ length: batchesAtOnce }, lane));
  } finally {
    caller.close();
  }
}

async function writeBatch(caller: GrpcCaller, first: number, end: number): Promise<void> {
  const writer = new WireWriter((end - first) * 3 * blobBytes);
  writer.text(batchFields.instanceName, instance);
  for (let number = first; number < end; number++) {
    const data = bodyOf(number);
    const item = writer.begin(batchFields.requests);
    writeRawDigest(writer, batchFields.digest, { hash: hashOf(data), sizeBytes: data.length });
    writer.bytes(batchFields.data, data);
    writer.end(item);
  }
  const { code, words, bytes } = await caller.unary(grpcPaths.BatchUpdateBlobs, writer.finish());
  const answers = code === grpcCodes.ok ? decodeBatchAnswer(bytes, batchUpdatedItemFields) : null;
  const refused = answers?.filter(({ statusCode }) => statusCode !== grpcCodes.ok) ?? [];
  if (answers?.length === end - first && refused.length === 0) return;
  throw new Error(
    `Blobs ${first} to ${end} ended with ${code} ${words}: ${answers?.length} answers, ` +
      `${refused.length} refused, the first with ${refused[0]?.statusCode}`,
  );
}

/** Reads each of these once; the share that was there. @throws on other bytes, and on any answer but 200 and 404. */
export async function readMillions(port: number, numbers: readonly number[]): Promise<number> {
  let [next, hits] = [0, 0];
  const lane = async (): Promise<void> => {
    const connection = openLoadConnection(port, answerMsMax);
    for (let number = numbers[next++]; number !== undefined; number = numbers[next++]) {
      const target = blobPath(number);
      const answer = await connection.exchange({ method: "GET", target });
      if (answer.at === "lost") throw new Error(`Blob ${number}: ${answer.reason}`);
      if (answer.status === 404) continue;
      const isRight = answer.status === 200 && bodyOf(number).equals(answer.body);
      if (!isRight) throw new Error(`Blob ${number} was answered ${answer.status}`);
      hits += 1;
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: readers }, lane));
  return hits / numbers.length;
}

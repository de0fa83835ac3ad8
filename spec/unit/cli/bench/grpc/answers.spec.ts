import { expect, test } from "bun:test";
import { Contents } from "../../../../../cli/bench/contents.ts";
import { BlobAnswers, WholeAnswers } from "../../../../../cli/bench/grpc/answers.ts";
import { Blobs } from "../../../../../cli/bench/grpc/blobs.ts";
import { framed } from "../../../../../cli/bench/grpc/messages.ts";
import { encodeReadResponse } from "../../../../../runtime/wire/proto/byte-stream-messages.ts";

const sizeBytes = 50_000;
const blobs = new Blobs(new Contents(1), sizeBytes, { name: "read", seed: 1 });
const blob = Buffer.alloc(sizeBytes);
blobs.copy({ index: 5, fromBytes: 0 }, blob, 0, sizeBytes);

function answerIn(messageBytes: number, bytes = blob): Buffer {
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += messageBytes) {
    messages.push(framed(encodeReadResponse(bytes.subarray(at, at + messageBytes))));
  }
  return Buffer.concat(messages);
}

function read(answer: Buffer, { pieceBytes = 997, isSampled = true, index = 5 } = {}): boolean {
  const answers = new BlobAnswers(blobs);
  answers.begin(index, isSampled);
  for (let at = 0; at < answer.length; at += pieceBytes) {
    answers.data(answer, at, Math.min(answer.length, at + pieceBytes));
  }
  return answers.end();
}

test.each([1, 4, 5, 6, 7, 997, 100_000])(
  "a blob is recognised in messages of any length that come in pieces of %d bytes",
  (pieceBytes) => {
    for (const messageBytes of [100, 127, 128, 16_384, 50_000]) {
      expect(read(answerIn(messageBytes), { pieceBytes })).toBe(true);
    }
  },
);

test("a message without data counts for nothing", () => {
  expect(read(Buffer.concat([framed(new Uint8Array(0)), answerIn(9_000)]))).toBe(true);
});

test("what is shorter, longer, cut off or compressed is not the blob, sampled or not", () => {
  const whole = answerIn(9_000);
  const compressed = Buffer.from(whole);
  compressed[0] = 1;
  const wrong = [
    answerIn(9_000, blob.subarray(1)),
    answerIn(9_000, Buffer.concat([blob, Buffer.alloc(1)])),
    whole.subarray(0, -1),
    Buffer.concat([whole, Buffer.from([0])]),
    compressed,
    framed(blob),
    framed(Buffer.concat([encodeReadResponse(blob), Buffer.from([0x18, 0x01])])),
    framed(encodeReadResponse(blob).subarray(0, -1)),
    // What stands behind the data looks like an empty message.
    framed(Buffer.concat([encodeReadResponse(blob), Buffer.alloc(5)])),
    Buffer.alloc(0),
  ];
  for (const answer of wrong) {
    expect([read(answer), read(answer, { isSampled: false })]).toEqual([false, false]);
  }
});

test("other bytes are found in a sample only", () => {
  const other = Buffer.from(blob);
  other[40_000] = (other[40_000] ?? 0) ^ 1;
  expect(read(answerIn(9_000, other))).toBe(false);
  expect(read(answerIn(9_000, other), { isSampled: false })).toBe(true);
  expect(read(answerIn(9_000), { index: 6 })).toBe(false);
});

test("an answer of one message is looked at when it is sampled or has another length than those that were right", () => {
  const judged: string[] = [];
  const answers = new WholeAnswers((message, index) => {
    judged.push(`${index} ${message.toString()}`);
    return message.toString().startsWith("right");
  });
  const ask = (index: number, isSampled: boolean, text: string): boolean => {
    answers.begin(index, isSampled);
    const bytes = framed(Buffer.from(text));
    answers.data(bytes, 0, 2);
    answers.data(bytes, 2, bytes.length);
    return answers.end();
  };
  expect(ask(0, false, "right")).toBe(true);
  expect(ask(1, false, "wrong")).toBe(true);
  expect(ask(2, true, "wrong")).toBe(false);
  expect(ask(3, false, "wrong!")).toBe(false);
  expect(ask(4, false, "right and much longer".repeat(1_000))).toBe(true);
  expect(judged.map((line) => line.slice(0, 7))).toEqual([
    "0 right",
    "2 wrong",
    "3 wrong",
    "4 right",
  ]);
  answers.begin(5, false);
  expect(answers.end()).toBe(false);
});

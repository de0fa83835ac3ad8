import { expect, test } from "bun:test";
import { RequestHeaders } from "../../../../../cli/bench/grpc/request-headers.ts";
import { HpackDecoder } from "../../../../../runtime/wire/http2/hpack-decoder.ts";

const one = "/build.bazel.remote.execution.v2.ActionCache/GetActionResult";
const other = "/google.bytestream.ByteStream/Read";
const fieldsOf = (path: string) => [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", path],
  [":authority", "127.0.0.1:9092"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
  ["user-agent", "kura-bench"],
  ["authorization", "Bearer x"],
];

function makeHeaders(): RequestHeaders {
  return new RequestHeaders("127.0.0.1:9092", [["authorization", "Bearer x"]]);
}

test("every block decodes to the headers of its call, whatever was told before", () => {
  const headers = makeHeaders();
  const decoder = new HpackDecoder(64 * 1024);
  for (const path of [one, one, other, one, other, other, one]) {
    expect(decoder.decode(headers.blockOf(path)).fields).toEqual(fieldsOf(path) as never);
  }
});

test("a field that was told costs one byte", () => {
  const headers = makeHeaders();
  expect(headers.blockOf(one).length).toBeGreaterThan(100);
  expect(headers.blockOf(one)).toHaveLength(8);
  expect(headers.blockOf(other).length).toBeGreaterThan(8);
  expect(headers.blockOf(one)).toHaveLength(8);
});

test("a server without room for a table is told everything each time, after the table was made empty", () => {
  const headers = makeHeaders();
  headers.shrink();
  const decoder = new HpackDecoder(64 * 1024);
  const first = headers.blockOf(one);
  const second = headers.blockOf(one);
  expect(first[0]).toBe(0x20);
  expect(second).toEqual(first.subarray(1));
  for (const block of [first, second]) {
    expect(decoder.decode(block).fields).toEqual(fieldsOf(one) as never);
  }
});

test("more fields than a table holds are still told", () => {
  const fields = Array.from({ length: 200 }, (_, i) => [`x-${i}`, "v".repeat(30)] as const);
  const headers = new RequestHeaders("a", fields);
  const decoder = new HpackDecoder(64 * 1024);
  for (let i = 0; i < 3; i++) {
    expect(decoder.decode(headers.blockOf(one)).fields.slice(-200)).toEqual(fields);
  }
});

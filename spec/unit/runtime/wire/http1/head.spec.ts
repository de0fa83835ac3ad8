import { describe, expect, test } from "bun:test";
import { headersMax } from "../../../../../runtime/base/limits.ts";
import {
  emptyLineBytes,
  type HeadMemo,
  parseHead,
} from "../../../../../runtime/wire/http1/head.ts";
import { headBytesMax } from "../../../../../runtime/wire/http1/limits.ts";

const freshMemo = (): HeadMemo => ({ block: "", head: null });

const get = "GET /a HTTP/1.1\r\nHost: a\r\n";

/** The status of a refusal, or what was read. */
function read(text: string): number | string | Record<string, unknown> {
  const parsed = parseHead(Buffer.from(text, "latin1"), freshMemo());
  if (parsed.at === "bad") return parsed.status;
  if (parsed.at === "incomplete") return "incomplete";
  const { headers, ...head } = parsed.head;
  return head;
}

function value(line: string): string | null {
  const parsed = parseHead(Buffer.from(`${get}${line}\r\n\r\n`, "latin1"), freshMemo());
  if (parsed.at !== "whole") throw new Error(`It was not read: ${parsed.at}`);
  return parsed.head.headers.get("x");
}

test("a head is incomplete until its last byte, wherever it is cut, and tells where it ends", () => {
  const head = `${get}X: b\r\n\r\n`;
  const bytes = Buffer.from(`${head}GET /next`, "latin1");
  for (let count = 0; count < head.length; count += 1) {
    expect(parseHead(bytes.subarray(0, count), freshMemo()).at).toBe("incomplete");
  }
  const parsed = parseHead(bytes, freshMemo());
  expect(parsed).toMatchObject({ at: "whole", endBytes: head.length });
});

test("a value loses the spaces and tabs around it and nothing else", () => {
  expect(value("X:a")).toBe("a");
  expect(value("X: \t a\t b \t")).toBe("a\t b");
  expect(value("X:   ")).toBe("");
  expect(value("x: \xa0a\xa0")).toBe("\xa0a\xa0");
  expect(value("X: a\r\nx: b")).toBe("a, b");
});

describe("the body", () => {
  test.each([
    ["", 0],
    ["Content-Length: 0\r\n", 0],
    ["Content-Length:12\r\n", 12],
    ["Content-Length: 012\r\n", 12],
    ["content-length: 999999999999999\r\n", 999_999_999_999_999],
    ["Transfer-Encoding: Chunked\r\n", null],
  ])("of %j is so long", (line, bodyBytes) => {
    expect(read(`${get}${line}\r\n`)).toMatchObject({ bodyBytes });
  });

  test.each([
    ["Content-Length: \xa05", 400],
    ["Content-Length: 5\xa0", 400],
    ["Content-Length:", 400],
    ["Content-Length: 1 2", 400],
    ["Content-Length: 1e3", 400],
    ["Content-Length: 1.0", 400],
    ["Content-Length: 0x5", 400],
    ["Content-Length: ५", 400],
    ["Content-Length: 1000000000000000", 400],
    ["Transfer-Encoding: \xa0chunked", 501],
    ["Transfer-Encoding: chunked\xa0", 501],
    ["Transfer-Encoding: chunked\x0b", 400],
    ['Transfer-Encoding: "chunked"', 501],
    ["Transfer-Encoding:", 501],
    ["Transfer-Encoding: gzip", 501],
    ["Transfer-Encoding: gzip, chunked", 400],
    ["Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400],
    ["Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", 400],
    ["Transfer-Encoding: chunked\r\nContent-Length: 0", 400],
  ])("of %j is refused", (lines, status) => {
    expect(read(`${get}${lines}\r\n\r\n`)).toBe(status);
  });

  test("of HTTP/1.0 is never chunked", () => {
    expect(read("PUT /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")).toBe(400);
  });
});

test.each([
  ["1.1", "", true],
  ["1.1", "Connection: close\r\n", false],
  ["1.1", "Connection: foo, CLOSE\r\n", false],
  ["1.1", "Connection: closed\r\n", true],
  ["1.1", "Connection: keep-alive\r\nConnection: close\r\n", false],
  ["1.0", "", false],
  ["1.0", "Connection: Keep-Alive\r\n", true],
  ["1.0", "Connection: close, keep-alive\r\n", false],
])("HTTP/%s with %j is kept alive: %p", (version, line, keepsAlive) => {
  const isOld = version === "1.0";
  expect(read(`GET /a HTTP/${version}\r\nHost: a\r\n${line}\r\n`)).toMatchObject({
    keepsAlive,
    isOld,
  });
});

test.each([
  ["Expect: 100-Continue\r\nContent-Length: 1\r\n", { waits: true }],
  ["Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", { waits: true }],
  ["Expect: 100-continue\r\n", { waits: false }],
  ["Content-Length: 1\r\n", { waits: false }],
])("the client waits for leave: %j", (lines, wish) => {
  expect(read(`${get}${lines}\r\n`)).toMatchObject(wish);
});

test("an expectation that nobody can meet is refused, also beside one that can be met", () => {
  for (const lines of [
    "Expect: a",
    "Expect: a\r\nExpect: 100-continue",
    "Expect: 100-continue, a",
  ]) {
    expect(read(`${get}${lines}\r\nContent-Length: 1\r\n\r\n`)).toBe(417);
  }
});

test.each([
  ["/", "/"],
  ["/a?b=c/../d", "/a?b=c/../d"],
  ["//a", "//a"],
  ["/%00%2F", "/%00%2F"],
  ["http://b", "/"],
  ["HTTP://b:80/c?d", "/c?d"],
  ["https://[::1]:1?d", "/?d"],
  ["http:///a", 400],
  ["http://u@b/", 400],
  ["ftp://b/", 400],
  ["*", 400],
  ["a", 400],
  ["/a#b", 400],
  ["/\x7f", 400],
  ["/\xe4", 400],
])("the target %s is read as %p", (target, wish) => {
  const got = read(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
  if (typeof wish === "number") expect(got).toBe(wish);
  else expect(got).toMatchObject({ target: wish });
});

test.each([
  ["GET /a  HTTP/1.1", 400],
  [" GET /a HTTP/1.1", 400],
  ["GET\t/a HTTP/1.1", 400],
  ["GET /a HTTP/1.1 ", 400],
  ["GET /a http/1.1", 400],
  ["GET /a HTTP/1.10", 400],
  ["GET /a HTTP/1.2", 505],
  ["GET /a HTTP/0.9", 505],
  ["GET /a HTTP/2.0", 505],
  ["GET /a", 400],
  ["get /a HTTP/1.1", 501],
  ["PRI * HTTP/2.0", 501],
  ["CONNECT a:80 HTTP/1.1", 400],
])("the line %j is refused", (line, status) => {
  expect(read(`${line}\r\nHost: a\r\n\r\n`)).toBe(status);
});

test.each([
  "X : a",
  " X: a",
  "X: a\r\n b",
  ": a",
  "X",
  "X: a\nY: b",
  "X: a\rY: b",
  "X: \0",
  "X: \x1f",
  "X: \x7f",
  "X\xe4: a",
  "X(: a",
])("the header %j is refused", (line) => {
  expect(read(`${get}${line}\r\n\r\n`)).toBe(400);
});

test.each([
  ["", 400],
  ["Host: a\r\nHost: a\r\n", 400],
  ["Host: a, b\r\n", 400],
  ["Host: a b\r\n", 400],
  ["Host: \xa0a\r\n", 400],
  ["Host: [::1\r\n", 400],
  ["Host: a:123456\r\n", 400],
  ["Host: a:\r\n", "read"],
  ["Host:\r\n", "read"],
  ["Host: [::1]:80\r\n", "read"],
])("the host of %j is %p", (lines, wish) => {
  const got = read(`GET /a HTTP/1.1\r\n${lines}\r\n`);
  expect(typeof got === "number" ? got : "read").toBe(wish);
});

test("a head has an end", () => {
  const fill = (length: number): string =>
    `${get}X: ${"a".repeat(length - get.length - 7)}\r\n\r\n`;
  expect(read(fill(headBytesMax + 4))).toMatchObject({ target: "/a" });
  expect(read(fill(headBytesMax + 5))).toBe(431);
  expect(read("a".repeat(headBytesMax))).toBe("incomplete");
  expect(read("a".repeat(headBytesMax + 1))).toBe(431);
  const lines = (count: number): string => `${get}${"X: a\r\n".repeat(count - 1)}\r\n`;
  expect(read(lines(headersMax))).toMatchObject({ target: "/a" });
  expect(read(lines(headersMax + 1))).toBe(431);
});

test("what can never become a request is refused before its end", () => {
  expect(read("GET /a HTTP/1.1\n")).toBe(400);
  expect(read("\n")).toBe(400);
  // A client of TLS waits for an answer before it sends more.
  expect(read("\x16\x03\x01\x02\x00\x01\x00\x01\xfc")).toBe(400);
});

test("two empty lines before a request are passed over, whole ones only", () => {
  for (const [text, count] of [
    ["", 0],
    ["\r", 0],
    ["\r\n", 2],
    ["\r\n\r", 2],
    ["\r\n\r\n", 4],
    ["\r\n\r\n\r\n", 4],
    ["GET", 0],
  ] as const) {
    expect([text, emptyLineBytes(Buffer.from(text))]).toEqual([text, count]);
  }
});

test("the same headers again mean the same, whatever the request line", () => {
  const memo = freshMemo();
  const headers = "Host: a\r\nX-One: 1\r\nContent-Length: 3\r\n\r\n";
  const lines = ["PUT /a HTTP/1.1", "GET /b?c HTTP/1.1", "GET http://a/d HTTP/1.1"];
  const others = [
    ...["GET /e HTTP/1.0", "CONNECT a:80 HTTP/1.1", "HEAD /f HTTP/1.1", "GET /g#h HTTP/1.1"],
    ...["GET /i j HTTP/1.1", "GET  /k HTTP/1.1", "GET /l\tm HTTP/1.1", "GET /\xe4 HTTP/1.1"],
    ...["GET /n HTTP/1.1 ", "GET /o HTTP/2.1", "GET /pHTTP/1.1", "GETS /q HTTP/1.1"],
    ...["GET HTTP/1.1", "GET  HTTP/1.1", "GET", "", " ", "get /r HTTP/1.1", "GET s HTTP/1.1"],
  ];
  for (const line of others.flatMap((other) => [...lines, "GET /s HTTP/1.1", other])) {
    const bytes = Buffer.from(`${line}\r\n${headers}`, "latin1");
    expect(parseHead(bytes, memo)).toEqual(parseHead(bytes, freshMemo()));
  }
});

test("other headers after the same ones are read anew", () => {
  const memo = freshMemo();
  const head = (headers: string): Buffer =>
    Buffer.from(`GET /a HTTP/1.1\r\nHost: a\r\n${headers}\r\n`);
  for (const headers of [
    "",
    "Content-Length: 1\r\n",
    "Content-Length: 2\r\n",
    "Content-Length: x\r\n",
    "",
  ]) {
    expect(parseHead(head(headers), memo)).toEqual(parseHead(head(headers), freshMemo()));
  }
});

import { expect, test } from "bun:test";
import fc from "fast-check";
import { ResponseReader } from "../../../../cli/bench/response.ts";

type Read = {
  status: number;
  body: string;
  bodyBytes: number;
  isDone: boolean;
  keepsAlive: boolean;
  /** Whether body bytes were told to lie where they do. */
  isInPlace: boolean;
};

/** Feeds an answer in pieces that are cut at the given places. */
function read(answer: string, cuts: readonly number[] = [], isHeadRequest = false): Read {
  let body = "";
  let isInPlace = true;
  const reader = new ResponseReader((bytes, from, to, atBytes) => {
    isInPlace &&= atBytes === body.length;
    body += bytes.toString("latin1", from, to);
  });
  reader.begin({ isHeadRequest });
  const places = [...new Set([0, ...cuts, answer.length])].sort((a, b) => a - b);
  for (const [i, from] of places.slice(0, -1).entries()) {
    const piece = Buffer.from(answer.slice(from, places[i + 1]), "latin1");
    reader.take(piece);
    // The socket uses its buffer again: nothing of it may be needed later.
    piece.fill(0);
  }
  const { status, bodyBytes, isDone, keepsAlive } = reader;
  return { status, body, bodyBytes, isDone, keepsAlive, isInPlace };
}

const answers = {
  sized:
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 11\r\nX-C: t\r\n\r\nhello world",
  empty: "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
  none: 'HTTP/1.1 204 No Content\r\nETag: "1"\r\n\r\n',
  announced: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
  chunked:
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=1\r\n world\r\n0\r\nT: 1\r\n\r\n",
  closing: "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 4\r\n\r\ngone",
};

const expected: Record<keyof typeof answers, [status: number, body: string, keepsAlive: boolean]> =
  {
    sized: [200, "hello world", true],
    empty: [201, "", true],
    none: [204, "", true],
    announced: [200, "hi", true],
    chunked: [200, "hello world", true],
    closing: [404, "gone", false],
  };

test.each(Object.keys(answers) as (keyof typeof answers)[])(
  "the answer %s is read the same however it is cut",
  (name) => {
    const answer = answers[name];
    const [status, body, keepsAlive] = expected[name];
    const cuts = fc.array(fc.integer({ min: 1, max: answer.length - 1 }), { maxLength: 6 });
    const want = {
      status,
      body,
      bodyBytes: body.length,
      isDone: true,
      keepsAlive,
      isInPlace: true,
    };
    expect(read(answer)).toEqual(want);
    for (let cut = 1; cut < answer.length; cut++) expect(read(answer, [cut])).toEqual(want);
    const everywhere = Array.from({ length: answer.length }, (_, place) => place);
    expect(read(answer, everywhere)).toEqual(want);
    fc.assert(
      fc.property(cuts, (places) => {
        expect(read(answer, places)).toEqual(want);
      }),
      { seed: 1, numRuns: 200 },
    );
  },
);

test("an answer to HEAD has no body whatever its length says", () => {
  const found = read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", [], true);
  expect(found).toMatchObject({ status: 200, isDone: true, bodyBytes: 0 });
});

test("a body without a length ends with the connection, and a cut one does not end at all", () => {
  const reader = new ResponseReader(() => {});
  reader.begin({ isHeadRequest: false });
  reader.take(Buffer.from("HTTP/1.1 200 OK\r\n\r\nall there is"));
  expect([reader.isDone, reader.end(), reader.isDone, reader.bodyBytes]).toEqual([
    false,
    true,
    true,
    12,
  ]);
  reader.begin({ isHeadRequest: false });
  reader.take(Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal"));
  expect([reader.isDone, reader.end(), reader.isDone]).toEqual([false, false, false]);
});

test.each([
  ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n"],
  ["a second answer behind the first", `${answers.sized}HTTP/1.1 200 OK\r\n\r\n`],
  ["a chunk without a size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
  [
    "a chunk that is too long",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
  ],
  ["a length that is no number", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"],
  ["a head without an end", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}`],
])("%s is refused", (_, answer) => {
  expect(() => read(answer)).toThrow("not HTTP/1.1 as we understand it");
});

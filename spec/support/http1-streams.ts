import type { Random } from "../../runtime/base/random.ts";
import type { Answer } from "../../runtime/wire/http1/answer.ts";
import { pipelineBytesMax } from "../../runtime/wire/http1/limits.ts";
import type { HttpRequest } from "../../runtime/wire/http1/request.ts";
import { ConnectionBench, turns } from "./connection-bench.ts";
import { readAll, text } from "./engine.ts";
import { SmallSocket } from "./small-socket.ts";

/** One request as a parser saw it. */
export type SeenRequest = {
  readonly method: string;
  readonly target: string;
  /** Lines as `name: value`, names in lower case, sorted; several of one name are joined. */
  readonly headers: string;
  /** Null when its end was not seen, or nobody looked. */
  body: string | null;
};

/** Requests whose path has this are answered before their body was read. */
const skipMark = "/skip";

function pick<T>(random: Random, choices: readonly T[]): T {
  const choice = choices[random.below(choices.length)];
  if (choice === undefined) throw new Error("There is nothing to choose from");
  return choice;
}

function randomText(random: Random, lengthMax: number): string {
  return Buffer.from(random.bytes(random.below(lengthMax))).toString("latin1");
}

/** Well-formed requests, one after the other; only the last one may end the connection. */
export function randomStream(random: Random): Buffer {
  const count = 1 + random.below(5);
  const requests = Array.from({ length: count }, (_, i) => randomRequest(random, i === count - 1));
  return Buffer.from(requests.join(""), "latin1");
}

function randomRequest(random: Random, isLast: boolean): string {
  const method = pick(random, ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"]);
  const path = pick(random, ["/", "/a", "/a/b?c=d&e", "//x", skipMark, "/%41%00"]);
  const target = random.below(8) === 0 ? `http://b.test:80${path}` : path;
  const isOld = isLast && random.below(8) === 0;
  const lines = [`Host:${pick(random, ["", " a", "\ta.test:1 ", " [::1]"])}`];
  for (let i = random.below(5); i > 0; i -= 1) {
    lines.push(pick(random, ["X-A: b", "x-a:", "Accept: \t*/* \t", "Y: \xe4\xa0", "Z: a:b: c"]));
  }
  if (isLast && random.below(4) === 0) lines.push("Connection: x, close");
  const framed = isOld
    ? lengthBody(random)
    : pick(random, [noBody, lengthBody, chunkedBody])(random);
  const at = random.below(lines.length + 1);
  // A client that waits and is refused loses its connection, and one that has sent its body by then does not.
  const mayExpect = !target.includes(skipMark);
  lines.splice(at, 0, ...framed.lines.filter((line) => mayExpect || !line.startsWith("Expect")));
  const empty = random.below(8) === 0 ? "\r\n" : "";
  const version = isOld ? "HTTP/1.0" : "HTTP/1.1";
  return `${empty}${method} ${target} ${version}\r\n${lines.join("\r\n")}\r\n\r\n${framed.body}`;
}

type Framed = { lines: string[]; body: string };

const noBody = (): Framed => ({ lines: [], body: "" });

function lengthBody(random: Random): Framed {
  const body = random.below(4) === 0 ? smuggled : randomText(random, 300);
  const lines = [`Content-Length: ${body.length}`];
  if (body.length > 0 && random.below(6) === 0) lines.push("Expect: 100-continue");
  return { lines, body };
}

function chunkedBody(random: Random): Framed {
  const chunks: string[] = [];
  for (let i = random.below(6); i > 0; i -= 1) {
    const data = `x${random.below(4) === 0 ? smuggled : randomText(random, 60)}`;
    const extension = pick(random, ["", "", ";a", ';a="b";c']);
    chunks.push(`${pick(random, ["", "0"])}${data.length.toString(16)}${extension}\r\n${data}\r\n`);
  }
  const trailers = pick(random, ["", "", "X-T: a\r\n", "X-T: a\r\nY-T:\r\n"]);
  const name = pick(random, ["Transfer-Encoding", "transfer-encoding"]);
  return { lines: [`${name}: chunked`], body: `${chunks.join("")}0\r\n${trailers}\r\n` };
}

/** In bodies, where it is no request. */
const smuggled = "PUT /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";

const tokens = [
  ..."\r\n\0\xa0\x85\x0b\x0c\x7f\t :;,+-0xg#%",
  ...[
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    "\r\r\n",
    "chunked",
    "identity",
    "HTTP/1.1",
    "\r\n ",
    "0\r\n\r\n",
  ],
  ...["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length:0\r\n"],
  ...[
    "Transfer-Encoding:\xa0chunked\r\n",
    "Content-Length: \xa03\r\n",
    "Host: b\r\n",
    "Expect: a\r\n",
  ],
];

/** Breaks a stream in one to three places among its first `endBytes`. */
export function mutate(random: Random, stream: Buffer, endBytes = stream.length): Buffer {
  let bytes = stream;
  for (let i = 1 + random.below(3); i > 0; i -= 1) {
    const at = random.below(Math.min(endBytes, bytes.length) + 1);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    const token = Buffer.from(pick(random, tokens), "latin1");
    const count = 1 + random.below(4);
    switch (random.below(5)) {
      case 0:
        bytes = Buffer.concat([before, token, after]);
        break;
      case 1:
        bytes = Buffer.concat([before, token, after.subarray(token.length)]);
        break;
      case 2:
        bytes = Buffer.concat([before, after.subarray(count)]);
        break;
      case 3:
        bytes = Buffer.concat([before, random.bytes(1), after.subarray(1)]);
        break;
      default:
        bytes = Buffer.concat([before, after.subarray(0, 10 * count), after]);
    }
  }
  return bytes;
}

/** Cuts bytes at random places. */
export function splitAnywhere(random: Random, bytes: Buffer): Buffer[] {
  const pieceMax = pick(random, [1, 3, 20, 200, 2_000]);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const count = 1 + random.below(pieceMax);
    // A copy, since each piece that comes from a socket is in a buffer of its own.
    pieces.push(Buffer.from(bytes.subarray(at, at + count)));
    at += count;
  }
  return pieces;
}

export type EngineReading = {
  readonly requests: SeenRequest[];
  /** What was sent, without interim answers. */
  readonly output: string;
  /** Requests begun and not ended, once the client has ended its half. */
  readonly pending: number;
  readonly isEnded: boolean;
};

/** Lets our engine read a stream that comes in pieces, to a client that takes `roomBytes` at a time. */
export async function readByEngine(
  pieces: readonly Buffer[],
  roomBytes = 1e9,
): Promise<EngineReading> {
  const requests: SeenRequest[] = [];
  const bench = new ConnectionBench((request) => record(request, requests), new SmallSocket(0));
  const output: Buffer[] = [];
  const flow = async (): Promise<void> => {
    bench.socket.roomBytes = roomBytes;
    bench.connection.drained();
    await turns(1);
    output.push(bench.socket.taken());
  };
  for (const piece of pieces) {
    if (bench.socket.ends.length > 0) break;
    bench.send(piece);
    await flow();
    for (let i = 0; bench.socket.isPaused && i < pipelineBytesMax; i += 1) await flow();
  }
  // Let all that can be answered be answered: the last answer of a client that has ended its half says so.
  for (let still = 0; bench.pending > 0 && still < 5; still += 1) {
    await flow();
    if ((output.at(-1)?.length ?? 0) > 0) still = 0;
  }
  if (bench.socket.ends.length === 0) bench.connection.halfClosed();
  for (let i = 0; bench.pending > 0 && i < 10_000; i += 1) await flow();
  await flow();
  const isEnded = bench.socket.ends.length > 0 && bench.ends.length >= requests.length;
  const sent = Buffer.concat(output).toString("latin1");
  const pending = bench.pending;
  return {
    requests,
    output: sent.replaceAll("HTTP/1.1 100 Continue\r\n\r\n", ""),
    pending,
    isEnded,
  };
}

function record(request: HttpRequest, requests: SeenRequest[]): Answer | Promise<Answer> {
  const { method, target, headers } = request;
  const names: string[] = [];
  // The list has no way to go through its names: those that the streams have are asked for.
  for (const name of knownNames) {
    const value = headers.get(name);
    if (value !== null) names.push(`${name}: ${value}`);
  }
  const seen: SeenRequest = { method, target, headers: names.join("\n"), body: null };
  requests.push(seen);
  if (target.includes(skipMark)) return text("skipped");
  return readAll(request).then(
    (body) => {
      seen.body = body.toString("latin1");
      return text(`${method} ${target} ${seen.body}`);
    },
    () => text("broken", 400),
  );
}

const knownNames = [
  ...["accept", "connection", "content-length", "expect", "host", "transfer-encoding"],
  ...["x-a", "y", "z"],
];

type Llhttp = {
  [event: number]: (...args: unknown[]) => number | undefined;
  initialize(type: number, resource: object, maxHeaderSize: number, lenient: number): void;
  execute(bytes: Buffer): number;
};
type LlhttpClass = {
  new (): Llhttp;
  readonly REQUEST: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
};

/** Node's parser, which Bun has as well, in its strict mode: what it saw before it refused. */
export function readByNode(bytes: Buffer): SeenRequest[] {
  const { HTTPParser, allMethods } = process.binding("http_parser") as {
    HTTPParser: LlhttpClass;
    allMethods: string[];
  };
  const requests: SeenRequest[] = [];
  let [lines, url, body]: [string[], string, string] = [[], "", ""];
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {}, 1 << 20, 0);
  parser[HTTPParser.kOnHeaders] = (headers, part) => {
    lines.push(...(headers as string[]));
    url += part as string;
    return 0;
  };
  parser[HTTPParser.kOnHeadersComplete] = (_major, _minor, headers, method, whole) => {
    lines.push(...((headers as string[] | undefined) ?? []));
    const target = targetOf(url + ((whole as string | undefined) ?? ""));
    const name = allMethods[method as number] ?? "";
    requests.push({ method: name, target, headers: headerText(lines), body: null });
    [lines, url, body] = [[], "", ""];
    return 0;
  };
  parser[HTTPParser.kOnBody] = (piece) => {
    body += (piece as Buffer).toString("latin1");
    return 0;
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    const last = requests.at(-1);
    if (last !== undefined) last.body = body;
    // What it keeps now are trailers.
    [lines, url, body] = [[], "", ""];
    return 0;
  };
  try {
    parser.execute(bytes);
  } catch {
    // What was seen until then counts.
  }
  return requests;
}

function targetOf(url: string): string {
  const path = url.replace(/^https?:\/\/[^/?#]*/i, "");
  return path.startsWith("/") ? path : `/${path}`;
}

function headerText(lines: readonly string[]): string {
  const values = new Map<string, string>();
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [name, value] = [(lines[i] ?? "").toLowerCase(), lines[i + 1] ?? ""];
    const known = values.get(name);
    values.set(name, known === undefined ? value : `${known}, ${value}`);
  }
  const known = knownNames.filter((name) => values.has(name));
  return known.map((name) => `${name}: ${values.get(name)}`).join("\n");
}

import type { Socket } from "bun";
import { minute } from "../../runtime/base/units.ts";

/** No fill here takes longer: 100,000 artifacts need 10 to 30 s. */
const fillMsMax = 5 * minute;
/** Answers to writes are a status line and a few headers; more means that we do not understand the server. */
const answerBytesMax = 64 * 1024;

export type FillOptions = {
  port: number;
  /** Artifacts `first` to `first + count - 1` are written, each once. */
  first: number;
  count: number;
  bodyBytes: number;
  connections: number;
  /** Default `fillPath`. */
  path?: (index: number) => string;
};

export type FillResult = {
  /** Indexes whose write was answered with 2xx. */
  readonly acknowledged: number[];
  /** True when a connection was closed before its answer: the server was killed meanwhile. */
  readonly isCut: boolean;
};

/** Nx takes any decimal number as a hash, needs no parameters and is a plain PUT: nginx can be asked the same. */
export function fillPath(index: number): string {
  return `/v1/cache/${index}`;
}

/** The body of artifact `index`: its number over and over, so that no two bodies are equal. */
export function fillBody(index: number, bodyBytes: number): Buffer {
  return Buffer.alloc(bodyBytes, `${index}.`, "latin1");
}

/**
 * Writes artifacts over plain sockets, one request at a time on each of many connections: three times as fast as
 * fetch, so that the server and not the filler is what takes the time. Stops without an error when connections close.
 * @throws Error on any answer but 2xx.
 */
export async function fill(options: FillOptions): Promise<FillResult> {
  const end = options.first + options.count;
  const acknowledged: number[] = [];
  let next = options.first;
  const take = (): number | null => (next < end ? next++ : null);
  const lanes: Promise<boolean>[] = [];
  for (let i = 0; i < Math.min(options.connections, options.count); i++) {
    lanes.push(runLane({ options, take, acknowledged }));
  }
  const cuts = await withDeadline(Promise.all(lanes), options);
  return { acknowledged, isCut: cuts.includes(true) };
}

type Lane = {
  options: FillOptions;
  take: () => number | null;
  acknowledged: number[];
};

/** Resolves with true when the connection was closed while an answer was due. */
function runLane({ options, take, acknowledged }: Lane): Promise<boolean> {
  const path = options.path ?? fillPath;
  let current: number | null = null;
  let answer = "";
  let unsent: Buffer = Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    const send = (socket: Socket): void => {
      current = take();
      if (current === null) {
        socket.end();
        resolve(false);
        return;
      }
      unsent = encodePut(path(current), fillBody(current, options.bodyBytes));
      flush(socket);
    };
    // A write takes what fits into the socket's buffer: the rest goes when it drains.
    const flush = (socket: Socket): void => {
      if (unsent.length > 0) unsent = unsent.subarray(Math.max(0, socket.write(unsent)));
    };
    const take2xx = (socket: Socket, bytes: Buffer): void => {
      answer += bytes.toString("latin1");
      const answerBytes = wholeAnswerBytes(answer);
      if (answerBytes === null) return;
      if (current === null || !/^HTTP\/1\.1 2\d\d /.test(answer)) {
        socket.terminate();
        reject(new Error(`PUT ${current} was answered: ${answer.slice(0, 500)}`));
        return;
      }
      acknowledged.push(current);
      answer = answer.slice(answerBytes);
      send(socket);
    };
    Bun.connect({
      hostname: "127.0.0.1",
      port: options.port,
      socket: {
        open: send,
        drain: flush,
        data: take2xx,
        close: () => resolve(current !== null),
        error: () => resolve(true),
        connectError: (_socket, error) => reject(error),
      },
    }).catch(reject);
  });
}

function encodePut(path: string, body: Buffer): Buffer {
  const head = `PUT ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

/** Length of the answer at the start of `text`, or null while it is not whole. */
function wholeAnswerBytes(text: string): number | null {
  if (text.length > answerBytesMax) throw new Error(`An answer exceeds ${answerBytesMax} bytes`);
  const headBytes = text.indexOf("\r\n\r\n");
  if (headBytes === -1) return null;
  const head = text.slice(0, headBytes);
  const declared = /\r\ncontent-length: *(\d+)/i.exec(head);
  // 204 has neither a body nor a length.
  const bodyBytes = declared === null ? 0 : Number(declared[1]);
  const wholeBytes = headBytes + 4 + bodyBytes;
  return text.length < wholeBytes ? null : wholeBytes;
}

async function withDeadline<T>(work: Promise<T>, options: FillOptions): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`Writing ${options.count} artifacts took over ${fillMsMax} ms`)),
      fillMsMax,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { DiskFile } from "../../runtime/base/disk.ts";
import { realDisk } from "../../runtime/base/real-disk.ts";
import { minute } from "../../runtime/base/units.ts";
import type { Answer } from "../../runtime/wire/http1/answer.ts";
import type { HttpHandler } from "../../runtime/wire/http1/connection.ts";
import { type HttpListener, listenHttp } from "../../runtime/wire/http1/listener.ts";
import type { HttpRequest } from "../../runtime/wire/http1/request.ts";
import type { Credentials } from "./certificates.ts";
import { SteppedClock } from "./server.ts";

/** The HTTP/1.1 engine on a real socket, without the node behind it. Its clock stands still until it is stepped. */
export type Engine = Disposable & {
  readonly port: number;
  readonly listener: HttpListener;
  readonly clock: SteppedClock;
  /** What came of the answers, in the order in which they ended. */
  readonly ends: readonly boolean[];
};

export const engineIdleMs = minute;

export function startEngine(handle: HttpHandler["handle"], tls?: Credentials): Engine {
  const clock = new SteppedClock();
  const ends: boolean[] = [];
  const listener = listenHttp({
    hostname: "127.0.0.1",
    port: 0,
    clock,
    idleMsMax: engineIdleMs,
    handler: countingHandler(handle, ends),
    ...(tls && { tls }),
  });
  return {
    port: listener.port,
    listener,
    clock,
    ends,
    [Symbol.dispose]: () => listener.stop(true),
  };
}

/** Notes how each answer ended. */
export function countingHandler(handle: HttpHandler["handle"], ends: boolean[]): HttpHandler {
  const counted = (answer: Answer): Answer => {
    answer.onEnd = (isDelivered) => ends.push(isDelivered);
    return answer;
  };
  return {
    handle(request) {
      const answer = handle(request);
      return answer instanceof Promise ? answer.then(counted) : counted(answer);
    },
    refuse: (_, { status, message }) => counted({ ...text(message, status), hangsUp: true }),
  };
}

export function text(body: string, status = 200): Answer {
  return { status, headers: {}, body: { at: "bytes", bytes: Buffer.from(body, "latin1") } };
}

/** The body of a request, to its end. */
export async function readAll({ body }: HttpRequest): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for (let chunk = await body.next(); chunk !== null; chunk = await body.next()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Says what came: method, target and body. Whoever cannot read the body says why. */
export async function echo(request: HttpRequest): Promise<Answer> {
  try {
    const body = await readAll(request);
    return text(`${request.method} ${request.target} ${body.toString("latin1")}`);
  } catch (error) {
    return text(error instanceof Error ? error.message : "unknown", 400);
  }
}

/** A file that answers send from, and how many of them have it. */
export type SentFile = Disposable & {
  readonly path: string;
  readonly file: DiskFile;
  readonly openCount: number;
  /** An answer with the stretch of it. */
  answer(startBytes: number, endBytes: number): Answer;
};

export function sentFile(bytes: Uint8Array): SentFile {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kura-engine-"));
  const file = realDisk.create(path.join(folder, "file"));
  file.write(bytes, 0);
  let openCount = 0;
  return {
    path: file.path,
    file,
    get openCount() {
      return openCount;
    },
    answer(startBytes, endBytes) {
      openCount += 1;
      const close = (): void => {
        openCount -= 1;
      };
      return { status: 200, headers: {}, body: { at: "file", file, startBytes, endBytes, close } };
    },
    [Symbol.dispose]() {
      file.close();
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Bytes that differ from place to place, so that a shifted or repeated stretch is seen. */
export function numbered(sizeBytes: number): Buffer<ArrayBuffer> {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at + 4 <= sizeBytes; at += 4)
    bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return bytes;
}

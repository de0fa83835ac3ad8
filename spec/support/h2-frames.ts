import { encodeHeaders } from "../../runtime/wire/http2/hpack-encoder.ts";
import type { HeaderField } from "../../runtime/wire/http2/hpack-table.ts";

/** What the engine under test calls them is not taken from it: a wrong number there must show here. */
export const h2Types = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const h2Flags = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;
export const h2Codes = {
  noError: 0,
  protocolError: 1,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  enhanceYourCalm: 11,
} as const;

export const h2Preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export type H2Frame = {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
};

export function h2Frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

export function h2Settings(values: Readonly<Record<number, number>> = {}): Buffer {
  const payload = Buffer.concat(
    Object.entries(values).map(([id, value]) => {
      const entry = Buffer.alloc(6);
      entry.writeUInt16BE(Number(id), 0);
      entry.writeUInt32BE(value, 2);
      return entry;
    }),
  );
  return h2Frame(h2Types.settings, 0, 0, payload);
}

/** What a client says first. */
export function h2Hello(values: Readonly<Record<number, number>> = {}): Buffer {
  return Buffer.concat([h2Preface, h2Settings(values)]);
}

export function h2Word(value: number): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32BE(value >>> 0, 0);
  return word;
}

export function h2Reset(streamId: number, code: number = h2Codes.cancel): Buffer {
  return h2Frame(h2Types.rstStream, 0, streamId, h2Word(code));
}

export function h2Window(streamId: number, bytes: number): Buffer {
  return h2Frame(h2Types.windowUpdate, 0, streamId, h2Word(bytes));
}

export function h2Headers(
  streamId: number,
  fields: readonly HeaderField[],
  { isEnd = false } = {},
): Buffer {
  const flags = h2Flags.endHeaders | (isEnd ? h2Flags.endStream : 0);
  return h2Frame(h2Types.headers, flags, streamId, encodeHeaders(fields));
}

export function h2Data(streamId: number, body: Uint8Array, { isEnd = false } = {}): Buffer {
  return h2Frame(h2Types.data, isEnd ? h2Flags.endStream : 0, streamId, body);
}

/** The headers of a call. */
export function callFields(path: string, more: readonly HeaderField[] = []): HeaderField[] {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "kura.test"],
    ["te", "trailers"],
    ["content-type", "application/grpc"],
    ...more,
  ];
}

/** A message as a call carries it. */
export function grpcMessage(message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([0]), h2Word(message.length), message]);
}

/** Cuts bytes into DATA frames. */
export function h2Body(streamId: number, body: Uint8Array, { isEnd = true } = {}): Buffer {
  const frames: Buffer[] = [];
  const pieceBytes = 16_384;
  for (let at = 0; at === 0 || at < body.length; at += pieceBytes) {
    const isLast = at + pieceBytes >= body.length;
    frames.push(h2Data(streamId, body.subarray(at, at + pieceBytes), { isEnd: isLast && isEnd }));
  }
  return Buffer.concat(frames);
}

/** A whole unary call. */
export function h2Call(
  streamId: number,
  path: string,
  message: Uint8Array,
  more: readonly HeaderField[] = [],
): Buffer {
  const body = h2Body(streamId, grpcMessage(message));
  return Buffer.concat([h2Headers(streamId, callFields(path, more)), body]);
}

/** Puts frames together from what a server sends. */
export class H2FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  push(bytes: Uint8Array): H2Frame[] {
    let buffer = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    const frames: H2Frame[] = [];
    for (;;) {
      if (buffer.length < 9) break;
      const endBytes = 9 + buffer.readUIntBE(0, 3);
      if (buffer.length < endBytes) break;
      frames.push({
        type: buffer[3] ?? 0,
        flags: buffer[4] ?? 0,
        streamId: buffer.readUInt32BE(5),
        payload: buffer.subarray(9, endBytes),
      });
      buffer = buffer.subarray(endBytes);
    }
    this.#rest = buffer;
    return frames;
  }
}

/** What a GOAWAY says; null for any other frame. */
export function goawayOf({ type, payload }: H2Frame): { lastId: number; code: number } | null {
  if (type !== h2Types.goaway) return null;
  return { lastId: payload.readUInt32BE(0), code: payload.readUInt32BE(4) };
}

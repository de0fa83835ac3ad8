import type { HeaderField } from "../../runtime/wire/http2/hpack-table.ts";
import type { H2Client } from "./h2-client.ts";
import {
  callFields,
  grpcMessage,
  h2Data,
  h2Flags,
  h2Headers,
  h2Types,
  h2Window,
} from "./h2-frames.ts";
import { digestOf } from "./reapi-client.ts";
import { encodeProto } from "./reapi-protos.ts";

export const byteStreamWrite = "/google.bytestream.ByteStream/Write";
export const byteStreamRead = "/google.bytestream.ByteStream/Read";
const frameBytes = 16_384;
const initialWindowSetting = 4;

/** What a client may send, by what the server has told it so far. */
export class H2SendWindows {
  readonly #client: H2Client;
  #sentBytes = 0;
  readonly #sentOf = new Map<number, number>();
  #seen = 0;
  #connectionBytes = 65_535;
  #initialBytes = 65_535;
  readonly #updatesOf = new Map<number, number>();

  constructor(client: H2Client) {
    this.#client = client;
  }

  /** Sends bytes as DATA, as its windows allow. Resolves when the last of them is out. */
  async send(streamId: number, body: Uint8Array, { isEnd = false } = {}): Promise<void> {
    for (let at = 0; at < body.length; ) {
      await this.#client.until("room in the windows", () => this.#room(streamId) > 0);
      const batch: Buffer[] = [];
      for (let room = this.#room(streamId); room > 0 && at < body.length; ) {
        const piece = body.subarray(at, at + Math.min(room, frameBytes));
        at += piece.length;
        room -= piece.length;
        this.#sentBytes += piece.length;
        this.#sentOf.set(streamId, (this.#sentOf.get(streamId) ?? 0) + piece.length);
        batch.push(h2Data(streamId, piece, { isEnd: isEnd && at === body.length }));
      }
      await this.#client.send(Buffer.concat(batch));
    }
  }

  #room(streamId: number): number {
    const { frames } = this.#client;
    for (; this.#seen < frames.length; this.#seen++) {
      const { type, flags, streamId: id, payload } = frames[this.#seen]!;
      if (type === h2Types.settings && (flags & h2Flags.ack) === 0) {
        for (let at = 0; at < payload.length; at += 6) {
          if (payload.readUInt16BE(at) !== initialWindowSetting) continue;
          this.#initialBytes = payload.readUInt32BE(at + 2);
        }
      }
      if (type !== h2Types.windowUpdate) continue;
      const bytes = payload.readUInt32BE(0);
      if (id === 0) this.#connectionBytes += bytes;
      else this.#updatesOf.set(id, (this.#updatesOf.get(id) ?? 0) + bytes);
    }
    const ofStream = this.#initialBytes + (this.#updatesOf.get(streamId) ?? 0);
    return Math.min(
      this.#connectionBytes - this.#sentBytes,
      ofStream - (this.#sentOf.get(streamId) ?? 0),
    );
  }
}

/** The name of a blob that is to be written, and the messages of its write. */
export function writeBody(blob: Uint8Array, pieceBytes: number): Buffer {
  const { hash } = digestOf(blob);
  const resourceName = `uploads/${crypto.randomUUID()}/blobs/${hash}/${blob.length}`;
  const messages: Buffer[] = [];
  for (let at = 0; at < blob.length; at += pieceBytes) {
    const message = encodeProto("google.bytestream.WriteRequest", {
      ...(at === 0 ? { resourceName } : {}),
      writeOffset: at,
      data: blob.subarray(at, at + pieceBytes),
      finishWrite: at + pieceBytes >= blob.length,
    });
    messages.push(grpcMessage(message));
  }
  return Buffer.concat(messages);
}

/** The frames that ask for a blob. */
export function readRequest(
  streamId: number,
  blob: Uint8Array,
  more: readonly HeaderField[] = [],
): Buffer {
  const { hash } = digestOf(blob);
  const resourceName = `blobs/${hash}/${blob.length}`;
  const message = encodeProto("google.bytestream.ReadRequest", { resourceName });
  return Buffer.concat([
    h2Headers(streamId, callFields(byteStreamRead, more)),
    h2Data(streamId, grpcMessage(message), { isEnd: true }),
  ]);
}

/** Gives back the window of a stream as its bytes come, by sixteenths of it; counts them. */
export function keepOpen(client: H2Client, windowBytes: number): { readonly bytes: () => number } {
  let bytes = 0;
  let dueBytes = 0;
  client.keepsData = false;
  client.onFrame = ({ type, streamId, payload }) => {
    if (type !== h2Types.data) return;
    bytes += payload.length;
    dueBytes += payload.length;
    if (dueBytes * 16 < windowBytes) return;
    void client.send(h2Window(streamId, dueBytes));
    dueBytes = 0;
  };
  return { bytes: () => bytes };
}

/** The gRPC status that a stream ended with; null when it had none. Takes blocks without a table of their own. */
export function statusOf(client: H2Client, streamId: number): number | null {
  for (const { type, streamId: id, payload } of client.frames) {
    if (type !== h2Types.headers || id !== streamId) continue;
    const at = payload.indexOf("grpc-status");
    // Behind the name: one byte for the length of the value, which is a digit or two.
    if (at >= 0) return Number(payload.subarray(at + 12, at + 12 + (payload[at + 11] ?? 0)));
  }
  return null;
}

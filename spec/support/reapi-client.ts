import grpc from "@grpc/grpc-js";
import { sha256 } from "../../runtime/base/digest.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import { decodeProto, encodeProto, type Fields } from "./reapi-protos.ts";

const reapi = "/build.bazel.remote.execution.v2";
const byteStream = "/google.bytestream.ByteStream";
const writePieceBytes = 512 * KiB;
const callMsMax = 30_000;

export type Digest = { readonly hash: string; readonly sizeBytes: number };

export function digestOf(bytes: Uint8Array): Digest {
  return { hash: Buffer.from(sha256(bytes)).toString("hex"), sizeBytes: bytes.length };
}

/** How a call ended: its code, and what it brought. */
export type Ended<T> = {
  readonly code: number;
  readonly words: string;
  /** From the `RetryInfo` of a refusal; null without one. */
  readonly retryAfterSeconds?: number | null;
  readonly value: T;
};

/** One message of a write, as it goes over the wire. */
export type WriteMessage = {
  readonly resourceName?: string;
  readonly writeOffset?: number;
  readonly finishWrite?: boolean;
  readonly data?: Uint8Array;
};

/** A write that goes on until `finish` or `cancel`. */
export type OpenWrite = {
  readonly ended: Promise<Ended<number | null>>;
  send(message: WriteMessage): void;
  finish(): void;
  cancel(): void;
};

/** A client of the Remote Execution API on grpc-js and protobufjs: nothing in it is Kura's. */
export class ReapiClient {
  readonly #client: grpc.Client;
  readonly #headers: Readonly<Record<string, string>>;

  /** `address`: `host:port`; in the clear unless credentials say otherwise. */
  constructor(
    address: string,
    headers: Readonly<Record<string, string>> = {},
    credentials = grpc.credentials.createInsecure(),
  ) {
    this.#client = new grpc.Client(address, credentials, {
      "grpc.max_receive_message_length": 64 * MiB,
      "grpc.max_send_message_length": -1,
    });
    this.#headers = headers;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  /** A unary call of the Remote Execution API, such as `ActionCache/GetActionResult`. */
  async call<T = Fields>(method: string, fields: Fields): Promise<Ended<T>> {
    const [request, response] = messagesOf[method] ?? ["", ""];
    const ended = await this.unary(`${reapi}.${method}`, encodeProto(request, fields));
    const { value } = ended;
    return { ...ended, value: decodeProto<T>(response, value ?? new Uint8Array(0)) };
  }

  /** A unary call by its whole path, with and to bytes; null when it brought none. */
  unary(path: string, request: Uint8Array): Promise<Ended<Uint8Array | null>> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        path,
        asIs,
        asIs,
        Buffer.from(request),
        this.#metadata(),
        { deadline: Date.now() + callMsMax },
        (error, value) => resolve({ ...endOf(error), value: value ?? null }),
      );
    });
  }

  /** All messages of a call that streams its answer. */
  stream(path: string, request: Uint8Array): Promise<Ended<Uint8Array[]>> {
    return new Promise((resolve) => {
      const value: Uint8Array[] = [];
      const call = this.#client.makeServerStreamRequest(
        path,
        asIs,
        asIs,
        Buffer.from(request),
        this.#metadata(),
        { deadline: Date.now() + callMsMax },
      );
      call.on("data", (message: Buffer) => value.push(message));
      call.on("error", (error: grpc.ServiceError) => resolve({ ...endOf(error), value }));
      call.on("end", () => resolve({ code: 0, words: "", value }));
    });
  }

  /** The bytes of a blob, or of a part of it. */
  async read(
    resourceName: string,
    { readOffset = 0, readLimit = 0 } = {},
  ): Promise<Ended<Uint8Array>> {
    const request = { resourceName, readOffset, readLimit };
    const { value, ...end } = await this.stream(
      `${byteStream}/Read`,
      encodeProto("google.bytestream.ReadRequest", request),
    );
    const parts = value.map((message) => {
      return decodeProto<{ data: Uint8Array }>("google.bytestream.ReadResponse", message).data;
    });
    return { ...end, value: Buffer.concat(parts) };
  }

  /** Writes a blob in pieces; the committed size, or null. */
  write(resourceName: string, bytes: Uint8Array): Promise<Ended<number | null>> {
    const messages: WriteMessage[] = [];
    for (let at = 0; at === 0 || at < bytes.length; at += writePieceBytes) {
      messages.push({
        ...(at === 0 ? { resourceName } : {}),
        writeOffset: at,
        data: bytes.subarray(at, at + writePieceBytes),
        finishWrite: at + writePieceBytes >= bytes.length,
      });
    }
    return this.writeMessages(messages);
  }

  /** Sends exactly these messages and then the end of the stream. */
  writeMessages(messages: readonly WriteMessage[]): Promise<Ended<number | null>> {
    return new Promise((resolve) => {
      const call = this.#client.makeClientStreamRequest(
        `${byteStream}/Write`,
        asIs,
        asIs,
        this.#metadata(),
        { deadline: Date.now() + callMsMax },
        (error, value) => {
          resolve({ ...endOf(error), value: committedSize(value) });
        },
      );
      for (const message of messages) {
        call.write(Buffer.from(encodeProto("google.bytestream.WriteRequest", message)));
      }
      call.end();
    });
  }

  /** A write whose messages are sent one by one. */
  openWrite(): OpenWrite {
    let ended: (end: Ended<number | null>) => void = () => {};
    const end = new Promise<Ended<number | null>>((resolve) => {
      ended = resolve;
    });
    const call = this.#client.makeClientStreamRequest(
      `${byteStream}/Write`,
      asIs,
      asIs,
      this.#metadata(),
      { deadline: Date.now() + callMsMax },
      (error, value) => ended({ ...endOf(error), value: committedSize(value) }),
    );
    return {
      ended: end,
      send: (message) => {
        call.write(Buffer.from(encodeProto("google.bytestream.WriteRequest", message)));
      },
      finish: () => call.end(),
      cancel: () => call.cancel(),
    };
  }

  /** What the server knows of an upload. */
  async writeStatus(resourceName: string): Promise<Ended<{ size: number; isComplete: boolean }>> {
    const { value, ...ended } = await this.unary(
      `${byteStream}/QueryWriteStatus`,
      encodeProto("google.bytestream.QueryWriteStatusRequest", { resourceName }),
    );
    const { committedSize: size, complete: isComplete } = decodeProto<{
      committedSize: number;
      complete: boolean;
    }>("google.bytestream.QueryWriteStatusResponse", value ?? new Uint8Array(0));
    return { ...ended, value: { size, isComplete } };
  }

  #metadata(): grpc.Metadata {
    const metadata = new grpc.Metadata();
    for (const [name, value] of Object.entries(this.#headers)) {
      metadata.set(name, name.endsWith("-bin") ? Buffer.from(value) : value);
    }
    return metadata;
  }
}

/** Requests and responses of the unary methods. */
const messagesOf: Readonly<Record<string, readonly [string, string]>> = {
  "Capabilities/GetCapabilities": ["GetCapabilitiesRequest", "ServerCapabilities"],
  "ActionCache/GetActionResult": ["GetActionResultRequest", "ActionResult"],
  "ActionCache/UpdateActionResult": ["UpdateActionResultRequest", "ActionResult"],
  "ContentAddressableStorage/FindMissingBlobs": [
    "FindMissingBlobsRequest",
    "FindMissingBlobsResponse",
  ],
  "ContentAddressableStorage/BatchUpdateBlobs": [
    "BatchUpdateBlobsRequest",
    "BatchUpdateBlobsResponse",
  ],
  "ContentAddressableStorage/BatchReadBlobs": ["BatchReadBlobsRequest", "BatchReadBlobsResponse"],
};

function committedSize(response: Uint8Array | null | undefined): number | null {
  if (response === undefined || response === null) return null;
  const name = "google.bytestream.WriteResponse";
  return decodeProto<{ committedSize: number }>(name, response).committedSize;
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

type End = Omit<Ended<unknown>, "value">;

function endOf(error: grpc.ServiceError | null): End {
  if (error === null) return { code: 0, words: "" };
  return { code: error.code, words: error.details, retryAfterSeconds: retryAfter(error) };
}

function retryAfter(error: grpc.ServiceError): number | null {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!(bytes instanceof Uint8Array)) return null;
  const { details } = decodeProto<{ details: { value: Uint8Array }[] }>("google.rpc.Status", bytes);
  const [info] = details;
  if (info === undefined) return null;
  type RetryInfo = { retryDelay: { seconds: number } | null };
  return decodeProto<RetryInfo>("google.rpc.RetryInfo", info.value).retryDelay?.seconds ?? null;
}

import { grpcCodes } from "../../../runtime/wire/grpc/status.ts";
import type { HeaderField } from "../../../runtime/wire/http2/hpack-table.ts";
import type { Lane, LaneOwner, Loss, Outcome } from "../lane.ts";
import type { AnswerReader } from "./answers.ts";
import { CallFlow, type ClientCall } from "./call.ts";
import { ClientConnection, type ClientOptions } from "./client.ts";
import { type GrpcOperation, grpcPaths } from "./operations.ts";
import type { Requests } from "./sources.ts";
import type { Workload } from "./workloads.ts";

/** A connection that is made when it is needed, and made again when the server has ended it. */
export class Channel {
  readonly #options: ClientOptions;
  #connection: ClientConnection | null = null;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  get connection(): ClientConnection {
    if (this.#connection === null || this.#connection.isClosing) {
      this.#connection = new ClientConnection(this.#options);
    }
    return this.#connection;
  }

  close(): void {
    this.#connection?.close();
    this.#connection = null;
  }
}

const noFields: readonly HeaderField[] = [];
const names = new Map<number, string>(
  Object.entries(grpcCodes).map(([name, code]) => [
    code,
    name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase(),
  ]),
);

/** One call at a time on a channel that it shares with others. */
export class GrpcLane implements Lane<GrpcOperation>, ClientCall, Outcome {
  readonly operation: GrpcOperation;
  readonly path: string;
  readonly source: Requests;
  readonly flow = new CallFlow();
  readonly bodyBytes: number;
  readonly outcome: Outcome = this;
  sentMs = 0;
  checksBody = false;
  isBusy = false;
  isGood = false;
  isDifferent = false;
  status: number = grpcCodes.unknown;
  statusName = "";
  text = "";
  readonly #answers: AnswerReader;
  readonly #channel: Channel;
  readonly #owner: LaneOwner<GrpcOperation>;
  #connection: ClientConnection | null = null;
  #headers = noFields;

  constructor(workload: Workload, channel: Channel, owner: LaneOwner<GrpcOperation>) {
    this.operation = workload.operation;
    this.path = grpcPaths[workload.operation];
    this.bodyBytes = workload.bodyBytes;
    this.source = workload.makeRequests();
    this.#answers = workload.makeAnswers();
    this.#channel = channel;
    this.#owner = owner;
  }

  get isCompared(): boolean {
    return this.checksBody || this.isDifferent;
  }

  send(_: GrpcOperation, index: number): void {
    this.isBusy = true;
    this.#headers = noFields;
    this.source.begin(index);
    this.#answers.begin(index, this.checksBody);
    this.#connection = this.#channel.connection;
    this.#connection.begin(this);
  }

  cut(loss: Loss): void {
    if (this.isBusy) this.#connection?.cancel(this);
    if (loss === "closed") this.#channel.close();
    this.lost(loss);
  }

  data(bytes: Buffer, from: number, to: number): void {
    this.#answers.data(bytes, from, to);
  }

  headers(fields: readonly HeaderField[]): void {
    this.#headers = fields;
  }

  /** An answer of success that is not what was asked for is a difference, not an error: it ends the command. */
  ended(trailers: readonly HeaderField[] | null): void {
    const fields = trailers ?? this.#headers;
    const httpStatus = fieldOf(this.#headers, ":status") ?? fieldOf(fields, ":status");
    const status = fieldOf(fields, "grpc-status");
    this.status = status === null ? grpcCodes.unknown : Number(status);
    this.isGood = this.status === grpcCodes.ok;
    this.isDifferent = this.isGood && !this.#answers.end();
    if (!this.isGood) {
      const name = names.get(this.status) ?? `grpc-status ${status}`;
      this.statusName = httpStatus === "200" ? name : `HTTP ${httpStatus}`;
      this.text = decodeMessage(fieldOf(fields, "grpc-message") ?? "");
    }
    this.isBusy = false;
    this.#owner.answered(this);
  }

  lost(loss: Loss): void {
    if (!this.isBusy) return;
    this.isBusy = false;
    this.#owner.lost(this, loss);
  }
}

function fieldOf(fields: readonly HeaderField[], name: string): string | null {
  for (const [each, value] of fields) if (each === name) return value;
  return null;
}

/** @source gRPC over HTTP/2, "Percent-Encoded": what cannot be decoded is shown as it came. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

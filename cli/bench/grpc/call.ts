import type { HeaderField } from "../../../runtime/wire/http2/hpack-table.ts";
import type { Loss } from "../lane.ts";

/** The bytes of a request, as a connection asks for them. */
export interface RequestSource {
  /** Nothing is left. */
  readonly isDone: boolean;
  /** Writes at most so many bytes of it, at least one while there are any; returns how many. */
  fill(into: Buffer, at: number, bytesMax: number): number;
}

/** One call in flight, as its connection sees it. */
export interface ClientCall {
  readonly path: string;
  readonly source: RequestSource;
  /** The connection's own notes. */
  readonly flow: CallFlow;
  /** `bytes` from `from` to `to` belong to the answer; they are gone after the call. */
  data(bytes: Buffer, from: number, to: number): void;
  headers(fields: readonly HeaderField[]): void;
  /** The last thing of an answer; null when it ended without trailers. */
  ended(trailers: readonly HeaderField[] | null): void;
  lost(loss: Loss): void;
}

export class CallFlow {
  streamId = 0;
  sendWindowBytes = 0;
  /** Received and not given back to the server's window. */
  creditBytes = 0;
  isListed = false;

  begin(streamId: number, sendWindowBytes: number): void {
    this.streamId = streamId;
    this.sendWindowBytes = sendWindowBytes;
    this.creditBytes = 0;
    this.isListed = false;
  }
}

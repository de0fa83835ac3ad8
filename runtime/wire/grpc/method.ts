import type { GrpcStatus } from "./status.ts";

/** One call as its handler sees it, whichever engine carries it. */
export interface Call {
  /** First value of a header, by its lower-case name; null when it is absent. */
  header(name: string): string | null;
  /** Fires when the client cancels, its deadline passes or its connection ends. */
  readonly signal: AbortSignal;
}

/** What the client sends, message by message, no faster than it is asked for. */
export interface Incoming {
  /**
   * The next message, or null when the client has ended its side.
   * @throws Fault "clientClosed" when it went away instead.
   */
  next(): Promise<Uint8Array | null>;
  /** A message that has come already; null when the next one has to be waited for. */
  nextAtOnce(): Uint8Array | null;
  /** Says that the client need send nothing more: whoever waits for its end does not wait for bytes. */
  allHasCome(): void;
  /** Says that, for a while, nothing is taken until something has come that other calls may have to bring. */
  setAside(isSetAside: boolean): void;
  /** Says that nobody looks at a message any more, so that its memory can be used again. */
  giveBack(message: Uint8Array): void;
}

/** What goes to the client. */
export interface Replies {
  /** Sends a message; resolves when there is room for the next one. The bytes are not read after that. */
  send(message: Uint8Array): Promise<void>;
}

export type UnaryMethod = {
  readonly shape: "unary";
  readonly run: (call: Call, request: Uint8Array) => Uint8Array | Promise<Uint8Array>;
};
export type ServerStreamMethod = {
  readonly shape: "serverStream";
  readonly run: (call: Call, request: Uint8Array, replies: Replies) => Promise<void>;
};
export type ClientStreamMethod = {
  readonly shape: "clientStream";
  /** May answer before the client has sent everything. */
  readonly run: (call: Call, incoming: Incoming) => Promise<Uint8Array>;
};
export type BidiMethod = {
  readonly shape: "bidi";
  readonly run: (call: Call, incoming: Incoming, replies: Replies) => Promise<void>;
};
export type GrpcMethod = UnaryMethod | ServerStreamMethod | ClientStreamMethod | BidiMethod;

/** What an engine serves. */
export type GrpcHandler = {
  /** By path: `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, GrpcMethod>;
  /** Called for each call before its method runs; may throw to refuse it. What it returns is called once at the end. */
  readonly begin: (path: string, call: Call) => (status: GrpcStatus) => void;
  /** The status of whatever a method threw. */
  readonly statusOf: (error: unknown, path: string) => GrpcStatus;
};

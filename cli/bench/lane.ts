/** Why a request ended without an answer. */
export type Loss = "refused" | "closed" | "reset" | "timeout" | "garbled";

/** Carries the requests of a load, whatever the protocol: one at a time. */
export interface Lane<Operation extends string> {
  readonly operation: Operation;
  readonly isBusy: boolean;
  /** Set by the owner when a request is sent. */
  sentMs: number;
  /** Set by the owner: whether the next body is compared with what it should be. */
  checksBody: boolean;
  /** Of the last answer; valid within `answered`. */
  readonly outcome: Outcome;
  /** Sends a request. The lane must not be busy. */
  send(operation: Operation, index: number): void;
  /** Ends the request in flight, if any, as lost, and what carries it. */
  cut(loss: Loss): void;
}

/** What an answer was. */
export interface Outcome {
  /** As it should be: only such an answer has a latency. */
  readonly isGood: boolean;
  /** The protocol's number for how it ended, and what it is counted under when it is not good. */
  readonly status: number;
  readonly statusName: string;
  /** The server's words when the answer is not good. */
  readonly text: string;
  /** Bytes of bodies that went either way. */
  readonly bodyBytes: number;
  readonly isCompared: boolean;
  /** The answer is not what it should be in its bytes or its length. */
  readonly isDifferent: boolean;
}

/** What the owner of lanes hears of them; each request ends in exactly one of the two. */
export type LaneOwner<Operation extends string> = {
  answered(lane: Lane<Operation>): void;
  lost(lane: Lane<Operation>, loss: Loss): void;
};

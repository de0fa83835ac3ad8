/**
 * Where a connection is with its requests:
 * - idle: nothing of a request has come
 * - head: some of it has
 * - call: the handler works, or its answer is on the way, or the rest of the body is passed over
 * - linger: our side is closed, or about to be, and what still comes is dropped
 * - closed
 */
export type At = "idle" | "head" | "call" | "linger" | "closed";

import { assert } from "../../base/assert.ts";
import { GiB, KiB, MiB, second } from "../../base/units.ts";

/** Bounds of the HTTP/1.1 engine, each with its reason. */

/** nginx and Node take 8 to 16 KiB; a build tool sends less than 1 KiB. */
export const headBytesMax = 16 * KiB;

/** A head up to here is kept until the next one of its connection has come: 10,000 idle connections hold 20 MB so. */
export const knownHeadBytesMax = 2 * KiB;

/** Lines before a request line that hold nothing: RFC 9112 section 2.2 wants one to be passed over. */
export const emptyLinesMax = 2;

/** A head must be whole this long after its first byte. @source trust.md test 20: 15 s, a look every second included. */
export const headMsMax = 13 * second;

/** An answer of which nobody takes a byte for this long is given up. @source surfaces.md 1: body I/O stall 120 s. */
export const sendStallMsMax = 120 * second;

/**
 * After an answer that ends the connection we read on, because closing with unread bytes resets the connection and
 * takes the answer away from a client that is still sending (nginx calls it lingering_close; 30 s are its default).
 */
export const lingerMsMax = 30 * second;
/** Silence that ends the lingering. */
export const lingerSilenceMsMax = 5 * second;

/** How often waiting connections are looked at. */
export const sweepPeriodMs = 1 * second;
assert(sweepPeriodMs * 4 <= lingerSilenceMsMax, "a deadline is noticed soon after it has passed");

/** What a body may keep in memory before its handler takes it: above it the socket is not read. */
export const bodyQueueBytesMax = 512 * KiB;

/** Bytes of further requests that are kept while one is being answered. */
export const pipelineBytesMax = 64 * KiB;
assert(headBytesMax <= pipelineBytesMax, "a whole head fits among what is kept");

/** Requests of one connection that are answered before others get their turn: some 10 us each for a hit or a miss. */
export const requestsPerTurnMax = 64;

/** What is read of a chunked body that nobody wanted, whose end nobody can know; then the connection ends. */
export const discardedBytesMax = 8 * GiB;

/** A chunk's size line with its extensions: 16 hex digits are enough for any size. */
export const chunkLineBytesMax = 1 * KiB;
/** Trailers are read and dropped. */
export const trailerBytesMax = 8 * KiB;

/** Bodies up to here are copied behind their head and sent with one call. */
export const joinedBodyBytesMax = 256 * KiB;

/** One sendfile call: on a cold file it reads this much while the loop waits, 5 ms at 200 MB/s. */
export const sendFileBytesMax = 1 * MiB;
/** Bytes of one answer before others get their turn. */
export const sendTurnBytesMax = 4 * MiB;
/** Read and written in one piece where the kernel cannot send by itself (TLS). */
export const sendPieceBytesMax = 128 * KiB;
/**
 * How long a full socket is left alone before it is nudged. Nudged at once, with eight clients on the same machine, 64
 * MiB took 690 calls of sendfile, where nginx makes 115 (strace, 2026-11-22), and a quarter more CPU than nginx.
 */
export const roomWaitMs = 1;
/** Written to be told when a full socket has room again; see `outgoing.ts`. */
export const nudgeBytesMax = 16 * KiB;
assert(nudgeBytesMax <= sendPieceBytesMax, "one buffer serves both");

import { assert } from "../../base/assert.ts";
import { KiB, MiB, second } from "../../base/units.ts";
import { firstWindowBytes } from "./frames.ts";

/** Bounds of the HTTP/2 engine, each with its reason. */

/** Bazel opens 100 streams a connection, moon and Buck2 up to 64 uploads; 500 parallel calls are served. */
export const streamsMax = 1_000;

/** Names and values with 32 bytes each: a credential of 8 KiB and Bazel's metadata fit. @source RFC 9113, 6.5.2. */
export const headerListBytesMax = 32 * KiB;
/** One block of headers over all its frames. */
export const headerBlockBytesMax = 64 * KiB;
/** Pieces of one block: a client that cuts finer than this wants something else. */
export const continuationsMax = 16;

/** 16 MB over 192 ms took minutes with 1 MiB. @source surfaces.md 11, row 6. */
export const streamWindowBytes = 4 * MiB;
export const connectionWindowBytes = 16 * MiB;
/** For connections beyond those whose windows the upload budget holds. */
export const smallConnectionWindowBytes = 1 * MiB;
assert(smallConnectionWindowBytes > firstWindowBytes, "every window is raised after the preface");

/** Frames that cost us something and bring nothing, in each window of time. Beyond it the connection is cut. */
export const floodWindowMs = 10 * second;
export const floodLimits = {
  /** Each answer forgives one: clients that measure their bandwidth send one for a piece of what they get. */
  ping: 500,
  settings: 100,
  /** Calls that the client took back before they were answered: more than once all that it may have open. */
  reset: 1_500,
  /** Streams that we refused or broke off for what the client did on them. @source CVE-2025-8671. */
  refused: 1_500,
  /** DATA that brings no byte and no end. */
  emptyData: 500,
  priority: 5_000,
  /** Each answer forgives two, one for its stream and one for the connection. */
  windowUpdate: 10_000,
  /** What means nothing to us: answers to what we never asked, streams that are gone, frames of extensions. */
  idle: 50_000,
} as const;

/** Answers to control frames that the client does not read; beyond it nothing more is read of it. */
export const waitingBytesMax = 256 * KiB;

/** Answers that are no data, to what came at one time. A thousand calls that are refused at once make a tenth of it. */
export const turnBytesMax = 2 * MiB;

/** A client that connects says at once what it speaks. */
export const prefaceMsMax = 10 * second;
/** A header block, or a frame that is gathered, must be whole this long after it began. @source trust.md test 20. */
export const headMsMax = 12 * second;
/** An answer of which nobody takes a byte for this long is given up. @source surfaces.md 1: body I/O stall 120 s. */
export const sendStallMsMax = 120 * second;
export const sweepPeriodMs = 1 * second;

/** Connections are renewed, so that clients spread over nodes again; calls may go on for the grace. @source design.md 4. */
export const connectionAgeMsMax = 300 * second;
export const connectionGraceMs = 900 * second;
/** Between the two words of goodbye: what the client sent before it heard the first is still served. */
export const goodbyeMs = 1 * second;

/** Streams that we have reset and of which frames may still be on their way: four times all that may be open. */
export const resetStreamsMax = 4_096;

/** A client that was told to go gets as long to close its side; then the socket is cut. */
export const lingerMsMax = 2 * second;
/** A stream whose window the client keeps shut for this long is given up, as a socket is. */
export const streamStallMsMax = sendStallMsMax;

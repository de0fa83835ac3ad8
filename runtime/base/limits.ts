import { assert } from "./assert.ts";
import { KiB, MiB, second } from "./units.ts";

/** Bounds that more than one file relies on, each with its reason. What an operator may change is in runtime/config. */

/** @source design.md 3: an id is 1 to 512 bytes after decoding. */
export const idBytesMax = 512;

/** A tenant and a namespace go into headers, metrics and URLs of other tools; GitHub and Tuist allow less than 100. */
export const scopeNameBytesMax = 512;

/** 8 KiB of request target: room for a 512-byte id and two scope names with every byte percent-encoded (4.6 KiB). */
export const targetCharsMax = 8 * KiB;

/** A build tool sends 10 to 20 headers and proxies add as many. */
export const headersMax = 64;

/** Our routes know 2 names with 2 aliases; tools that add their own stay far below this. */
export const parametersMax = 64;

/** Scopes in memory: 300 bytes each, so 2.5 MB; clients choose them, so there has to be an end. */
export const scopesMax = 8_192;

/** User agents in memory; a build farm has a few dozen. Beyond it the cache starts anew. */
export const userAgentsMax = 256;

/** Bodies up to here are charged before they have come: a slow client holds no more than this for nothing. */
export const wholeBodyBytesMax = 16 * KiB;

/** Bodies of known length up to here wait for the upload budget; larger ones go to disk, which costs them little. */
export const waitingBodyBytesMax = 64 * KiB;
assert(
  wholeBodyBytesMax <= waitingBodyBytesMax,
  "a body that is read at once may wait for its bytes",
);

/**
 * What longer bodies may hold in memory together, from their first byte to their answer; the others wait on disk, which
 * costs a PUT of 1 MiB nothing that could be measured. Slow clients held all of `KURA_UPLOAD_MEMORY_BYTES` without this,
 * and more: 500 of them with 1 MiB each cost 1.3 GiB of resident memory (2026-11-22).
 */
export const gatheredBytesMax = 8 * MiB;
/** A body on disk waits for its memory this long: twice what 500 of 1 MiB take on a disk with 40 MB/s. */
export const gatheredWaitMsMax = 30 * second;

/** Waiting uploads: at 64 KiB each they stand for 256 MiB that nobody holds yet. Beyond it: 429 at once. */
export const budgetWaitersMax = 4_096;

/** Metro gives up after 5 s, so a client that waits longer than this for its turn is gone anyway. */
export const budgetWaitMsMax = 4 * second;

/** A body must bring this much in each window; the first window is the grace. @source trust.md test 20. */
export const bodyBytesPerSecondMin = 16 * KiB;
export const bodyWindowMs = 10 * second;
export const bodyWatchPeriodMs = 1 * second;
assert(bodyWatchPeriodMs * 4 <= bodyWindowMs, "a slow body is noticed soon after its window");

/**
 * What is read of a refused body, so that a client that sends all before it reads sees the answer; beyond it we hang
 * up. Twice the largest limit that tools with bodies of known length meet (Xcode, 256 MiB); it holds no memory.
 */
export const refusedBodyBytesMax = 512 * MiB;

/** Files that stay open for sending when no answer uses them; 64 segments hold 8 GiB. */
export const idleSendFilesMax = 64;
/** After so long without use they are closed all the same: a node at rest has no more open than a fresh one. */
export const idleSendFileMsMax = 15 * second;

/** 10,000 part numbers of ten digits are 110 KB; the reference's framework stops at 2 MiB. @source surfaces.md 4.4. */
export const completionBytesMax = 2 * MiB;

/** Key-value documents have a depth of 3; unknown members may be deeper, within reason. */
export const jsonDepthMax = 32;

/** Whole seconds that a shed client is asked to wait, drawn evenly from 1 to here. @source surfaces.md 2.5. */
export const retryAfterSecondsMax = 10;

/** A request id is copied into answers and logs, so it stays short. A UUID has 36 characters. */
export const requestIdCharsMax = 128;

import { ArrivalWindow } from "../../base/arrival-window.ts";
import { bodyBytesPerSecondMin, bodyWindowMs } from "../../base/limits.ts";
import { second } from "../../base/units.ts";
import { sweepPeriodMs } from "./limits.ts";
import type { Stream } from "./stream.ts";

/** A client that can send less than a frame may find that not worth sending. */
const usefulWindowBytes = 16 * 1_024;
/** Sweeps in one window. */
const sweepsPerWindow = Math.ceil(bodyWindowMs / sweepPeriodMs);
/**
 * A client that brings this many times the least rate on one connection is not a slow one: it shares a thin line among
 * its streams, 1 Mbit/s among a hundred uploads say, and each of them may get less than the least.
 */
const sharedRatesMax = 8;
/** Then a stream may get as little as this part of an even share, or it is its own source that is slow. */
const evenShareMin = 1 / 8;

/** What the watch needs to know of its connection. */
export type Arrivals = {
  /** Bytes of bodies that have come on all streams so far. */
  readonly receivedBytes: number;
  /** What the client may still send on all streams together. */
  readonly windowBytes: number;
  /** Nothing is read of it now. */
  readonly isPaused: boolean;
};

/** Finds the streams of a connection whose clients let us wait for the rest of a request. */
export class RequestWatch {
  /** Bytes that had come at each of the last looks. */
  #looks: number[] = [];
  readonly #windows = new Map<Stream, ArrivalWindow>();

  /** The streams to give up as of now; to be called at each sweep. Streams that are gone are forgotten. */
  slow(nowMs: number, streams: Iterable<Stream>, arrivals: Arrivals): readonly Stream[] {
    const { receivedBytes, windowBytes, isPaused } = arrivals;
    const broughtBytes = receivedBytes - (this.#looks[0] ?? 0);
    this.#looks.push(receivedBytes);
    if (this.#looks.length > sweepsPerWindow) this.#looks.shift();
    const mayCome = !isPaused && windowBytes >= usefulWindowBytes;
    const found: [Stream, ArrivalWindow][] = [];
    let awaited = 0;
    for (const stream of streams) {
      if (stream.isRemoteEnded) {
        this.#windows.delete(stream);
        continue;
      }
      const isAwaited =
        mayCome &&
        stream.sink?.isAwaited === true &&
        stream.receiveWindowBytes >= usefulWindowBytes;
      if (isAwaited) awaited += 1;
      const window = this.#windows.get(stream);
      if (window === undefined) {
        this.#windows.set(stream, new ArrivalWindow(nowMs, stream.receivedBytes));
      } else if (window.isSlow(nowMs, stream.receivedBytes, isAwaited)) {
        found.push([stream, window]);
      }
    }
    this.#forgetGone();
    const ratesWanted = Math.min(awaited, sharedRatesMax);
    const wantedBytes = (ratesWanted * bodyBytesPerSecondMin * bodyWindowMs) / second;
    const shareBytes = (broughtBytes / Math.max(1, awaited)) * evenShareMin;
    const slow: Stream[] = [];
    for (const [stream, window] of found) {
      const isSharing = broughtBytes >= wantedBytes && awaited > 1;
      if (isSharing && window.cameBytes(stream.receivedBytes) >= shareBytes) {
        window.restart(nowMs, stream.receivedBytes);
      } else {
        slow.push(stream);
      }
    }
    return slow;
  }

  #forgetGone(): void {
    for (const stream of this.#windows.keys()) if (!stream.isOpen) this.#windows.delete(stream);
  }
}

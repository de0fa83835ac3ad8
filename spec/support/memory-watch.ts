import { residentBytes } from "../../cli/bench/proc.ts";
import { MiB } from "../../runtime/base/units.ts";

const samplePeriodMs = 50;

/** The resident memory of a process while something goes on. */
export type MemoryWatch = AsyncDisposable & {
  /** When the watch began. */
  readonly beforeBytes: number;
  /** The most since it began, or since `again`. */
  maxBytes(): number;
  /** Forgets the most so far. */
  again(): void;
};

/** VmRSS of a process now. @throws when it has ended. */
export function memoryOf(pid: number): number {
  const bytes = residentBytes([pid]);
  if (bytes === null) throw new Error(`Cannot read the memory of process ${pid}: it has ended`);
  return bytes;
}

/** Looks every 50 ms until it is disposed of; a process that has ended is looked at no more. */
export function watchMemory(pid: number): MemoryWatch {
  const beforeBytes = memoryOf(pid);
  let maxBytes = beforeBytes;
  const timer = setInterval(() => {
    maxBytes = Math.max(maxBytes, residentBytes([pid]) ?? 0);
  }, samplePeriodMs);
  return {
    beforeBytes,
    maxBytes: () => Math.max(maxBytes, memoryOf(pid)),
    again() {
      maxBytes = memoryOf(pid);
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
    },
  };
}

/** For the figures that specs print. */
export function inMiB(bytes: number): number {
  return Math.round(bytes / MiB);
}

import type { Disk } from "./disk.ts";

/** Of a thread, in nanoseconds: on a core, ready and without one; then its time slices. @source proc(5), schedstat. */
const path = "/proc/thread-self/schedstat";
const textBytesMax = 128;

/** Reads how long this thread has waited for a core so far, in ms; 5 us a call. Zero where the system does not tell. */
export function openCoreWait(disk: Disk): () => number {
  const file = disk.open(path, "read");
  if (file === null) return () => 0;
  const buffer = Buffer.alloc(textBytesMax);
  return () => {
    const [, waited = "0"] = buffer.latin1Slice(0, file.read(buffer, 0)).split(" ");
    return Number(waited) / 1e6;
  };
}

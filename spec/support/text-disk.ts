import type { Disk } from "../../runtime/base/disk.ts";
import { realDisk } from "../../runtime/base/real-disk.ts";

/** A disk on which only these files exist, for code that reads what a system tells of itself; changes count at once. */
export function diskWith(files: Readonly<Record<string, string>>): Disk {
  return {
    ...realDisk,
    open(path) {
      if (files[path] === undefined) return null;
      return {
        path,
        read: (into: Uint8Array) => {
          const text = files[path];
          if (text === undefined) throw new Error(`${path} is gone`);
          const bytes = new TextEncoder().encode(text).subarray(0, into.length);
          into.set(bytes);
          return bytes.length;
        },
        close: () => {},
      } as unknown as ReturnType<Disk["open"]>;
    },
  };
}

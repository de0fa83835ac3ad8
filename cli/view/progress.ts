import type { Terminal } from "../terminal.ts";

/** Work done and work there is, in bytes. */
export type Progress = { readonly doneBytes: number; readonly totalBytes: number };

/** Where a piped run writes a line: every tenth of the way. */
const plainSteps = 10;

/**
 * Runs `work` and shows how far it is: a bar on a terminal, a few plain lines on stderr elsewhere, so that stdout
 * carries the report alone.
 */
export async function withProgress<T>(
  terminal: Terminal,
  title: string,
  work: (tell: (progress: Progress) => void) => Promise<T>,
): Promise<T> {
  const view = terminal.isInteractive
    ? (await import("./progress-bar.tsx")).startBar(title)
    : plainLines(terminal, title);
  let totalBytes = 0;
  try {
    const result = await work((progress) => {
      totalBytes = progress.totalBytes;
      view.update(progress);
    });
    // Work is measured in bytes of files, some of which need no look: the end is the end all the same.
    view.update({ doneBytes: totalBytes, totalBytes });
    return result;
  } finally {
    view.end();
  }
}

/** Draws progress until `end`. */
export type ProgressView = { update(progress: Progress): void; end(): void };

function plainLines(terminal: Terminal, title: string): ProgressView {
  let shown = -1;
  return {
    update({ doneBytes, totalBytes }) {
      const step = Math.floor(shareOf({ doneBytes, totalBytes }) * plainSteps);
      if (step <= shown) return;
      shown = step;
      terminal.complain(`${title}: ${step * plainSteps} % of ${totalBytes} bytes`);
    },
    end() {},
  };
}

/** 0 to 1; nothing to do is done. */
export function shareOf({ doneBytes, totalBytes }: Progress): number {
  return totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
}

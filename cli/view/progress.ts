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
  if (!terminal.isInteractive) return work(plainLines(terminal, title));
  const { startBar } = await import("./progress-bar.tsx");
  const bar = startBar(title);
  try {
    return await work(bar.update);
  } finally {
    bar.end();
  }
}

function plainLines(terminal: Terminal, title: string): (progress: Progress) => void {
  let shown = -1;
  return ({ doneBytes, totalBytes }) => {
    const step = Math.floor(shareOf({ doneBytes, totalBytes }) * plainSteps);
    if (step <= shown) return;
    shown = step;
    terminal.complain(`${title}: ${step * plainSteps} % of ${totalBytes} bytes`);
  };
}

/** 0 to 1; nothing to do is done. */
export function shareOf({ doneBytes, totalBytes }: Progress): number {
  return totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
}

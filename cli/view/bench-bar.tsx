import { Box, render, Text } from "ink";
import { systemClock } from "../../runtime/base/clock.ts";
import type { BenchStep, BenchView } from "./bench-progress.ts";

const barCells = 20;
/** Drawing takes time from the core of the load: twice a second is enough to see that it goes on. */
const drawPeriodMs = 500;

/** A bar over all measurements that is drawn over itself until `end`. */
export function startBenchBar(): BenchView {
  let current: BenchStep | null = null;
  let startMs = systemClock.monotonicMs();
  // Ctrl-C is the command's business: it has a server to end.
  const view = render(<Bar step={null} share={0} />, { exitOnCtrlC: false });
  const draw = (): void => {
    view.rerender(
      <Bar step={current} share={shareOf(current, systemClock.monotonicMs() - startMs)} />,
    );
  };
  const timer = systemClock.every(drawPeriodMs, draw);
  return {
    update(step) {
      current = step;
      startMs = systemClock.monotonicMs();
      draw();
    },
    end() {
      timer.cancel();
      view.clear();
      view.unmount();
    },
  };
}

/** Measurements that are done, and the part of this one that its time tells. */
function shareOf(step: BenchStep | null, passedMs: number): number {
  if (step === null) return 0;
  const part = step.expectedMs === null ? 0 : Math.min(1, passedMs / step.expectedMs);
  return (step.number - 1 + part) / step.count;
}

function Bar({ step, share }: { step: BenchStep | null; share: number }) {
  const filled = Math.round(share * barCells);
  const where = step === null ? "starting" : `${step.number} of ${step.count}  ${step.what}`;
  return (
    <Box>
      <Text wrap="truncate">
        {"bench  "}
        <Text color="green">{"█".repeat(filled)}</Text>
        <Text dimColor>{"░".repeat(barCells - filled)}</Text>
        {`  ${where}`}
      </Text>
    </Box>
  );
}

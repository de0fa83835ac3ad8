import { Box, render, Text } from "ink";
import { type Progress, type ProgressView, shareOf } from "./progress.ts";
import { renderBytes } from "./text.ts";

const barCells = 40;

/** A bar that is drawn over itself until `end`. */
export function startBar(title: string): ProgressView {
  const view = render(<Bar title={title} progress={null} />);
  return {
    update(progress) {
      view.rerender(<Bar title={title} progress={progress} />);
    },
    end() {
      view.unmount();
    },
  };
}

function Bar({ title, progress }: { title: string; progress: Progress | null }) {
  const share = progress === null ? 0 : shareOf(progress);
  const filled = Math.round(share * barCells);
  return (
    <Box>
      <Text>{`${title}  `}</Text>
      <Text color="green">{"█".repeat(filled)}</Text>
      <Text dimColor>{"░".repeat(barCells - filled)}</Text>
      <Text>{`  ${Math.floor(share * 100)} %`}</Text>
      <Text dimColor>{progress === null ? "" : `  of ${renderBytes(progress.totalBytes)}`}</Text>
    </Box>
  );
}

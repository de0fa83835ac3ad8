import { expect, test } from "bun:test";
import { installMsMax } from "../support/client-packages.ts";
import { startNode } from "../support/node-process.ts";
import { findH2spec, h2specMsMax, runH2spec } from "./h2spec.ts";

/** What version 2.2.1 has in strict mode is 146; fewer would mean that the run was cut short. */
const casesMin = 141;

test(
  "every case of h2spec passes in strict mode",
  async () => {
    const program = await findH2spec();
    await using node = await startNode({ env: { KURA_GRPC_ENGINE: "kura" } });
    const { cases, notPassed, words } = await runH2spec(program, node.grpcPort);
    console.log(words.trim().split("\n").at(-1));
    expect(notPassed).toEqual([]);
    expect(cases).toBeGreaterThanOrEqual(casesMin);
  },
  h2specMsMax + installMsMax,
);

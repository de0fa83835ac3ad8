// heavy
import { describe, expect, test } from "bun:test";
import { minute, second } from "../../runtime/base/units.ts";
import { type FaultRun, withFaultRun } from "../support/fault-run.ts";
import { putKnown, readKnown, resume, type Stage, stages } from "../support/full-disk-stages.ts";
import { type NodeProcess, until } from "../support/node-process.ts";
import { type SmallDisk, smallDisks } from "../support/small-disk.ts";

const testMsMax = 5 * minute;
const resumeMsMax = 5 * second;
const listeningMsMax = 20 * second;

describe.each(smallDisks)("$name that is full", ({ mount }) => {
  test.each(Object.entries(stages))(
    "refuses %s, reads on, and writes again when space is back",
    (_, run) => onSmallDisk(mount, (stage) => fillAt(stage, run)),
    testMsMax,
  );

  test.each(["stop", "kill"] as const)(
    "does not keep a node from coming up after a %s, at the latest when space is back",
    (how) => onSmallDisk(mount, (stage, run) => startWhenFull(stage, run, how)),
    testMsMax,
  );
});

async function onSmallDisk(
  mount: (path: string) => SmallDisk,
  body: (stage: Stage, run: FaultRun) => Promise<void>,
): Promise<void> {
  await withFaultRun("full-disk-stage", async (run) => {
    const disk = mount(run.dataDir);
    try {
      const node = await run.start({ env: envOf(disk) });
      const kept = { large: 0, parts: 0 };
      const stage: Stage = { node, disk, name: `s${run.seed}`, known: new Map(), kept };
      await putKnown(stage);
      await body(stage, run);
    } finally {
      disk.unmount();
    }
  });
}

/** Above what the disk can hold beside a filler, so that the disk and not the capacity is what ends. */
function envOf({ sizeBytes }: SmallDisk): Record<string, string> {
  return { KURA_CAS_CAPACITY_BYTES: String(Math.floor(sizeBytes * 0.8)) };
}

async function fillAt(stage: Stage, run: (stage: Stage) => Promise<void>): Promise<void> {
  await run(stage);
  await readKnown(stage);
  expect((await fetch(`${stage.node.url}/ready`)).status).toBe(200);
  await resume(stage);
  await readKnown(stage);
}

async function startWhenFull(
  { disk, ...stage }: Stage,
  run: FaultRun,
  how: "stop" | "kill",
): Promise<void> {
  disk.fill(0);
  await (how === "stop" ? stage.node.stop() : stage.node.kill());
  disk.fill(0);
  const node = await run.spawn({ env: envOf(disk) });
  await until("the node listens", () => isUp(node), listeningMsMax);
  // It may serve at once or wait for space; what it serves is right.
  const isReadyWhenFull = await node.ready(2 * second).then(
    () => true,
    () => false,
  );
  console.log(`after a ${how}, on a full disk: ready ${isReadyWhenFull}`);
  if (isReadyWhenFull) await readKnown({ ...stage, node });
  disk.release();
  await node.ready(resumeMsMax);
  await readKnown({ ...stage, node });
  await resume({ ...stage, disk, node, name: `${stage.name}-next` });
}

async function isUp(node: NodeProcess): Promise<boolean> {
  return await fetch(`${node.url}/up`).then(
    ({ status }) => status === 200,
    () => false,
  );
}

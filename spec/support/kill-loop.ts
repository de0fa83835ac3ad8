import { day, hour, minute } from "../../runtime/base/units.ts";
import { clockEnvironment, compileClockShim } from "./clock-shim.ts";
import { type FaultRun, withFaultRun } from "./fault-run.ts";
import { removeIndex } from "./index-files.ts";
import { startLoad } from "./load-driver.ts";
import { KeySpace } from "./load-keys.ts";
import { planBodies } from "./load-sizes.ts";
import type { NodeProcess } from "./node-process.ts";

export type KillLoopReport = {
  acknowledgedWrites: number;
  acknowledgedCleans: number;
  killsInLoad: number;
  killsInReplay: number;
  killsInRebuild: number;
  keysRead: number;
};

const writersPerCycle = 16;
const acknowledgedWritesMin = 200;
const cleansPerCycle = 2;
const loadMs = { min: 50, max: 1_500 };
const startMs = { min: 1, max: 200 };
const killsInStartMax = 4;
/** 4 cleaned namespaces and Nx and Metro, two cleaned a cycle: a name lives about three cycles. */
const cleanedNamespaceCount = 4;
/** Names a cycle that stay for ever: 1,000 cycles end with 10,000 of them, read back in about 2 s. */
const keptKeysPerCycle = 10;
/**
 * A rebuild after 600 cycles goes through 3.7 GB and a million records: 37 s alone, over 120 s beside three other long
 * runs on two cores (measured).
 */
const readyMsMax = 10 * minute;
const cyclesBetweenLogs = 20;
const replayKillPeriod = 4;

/**
 * Puts load on a node, kills it with SIGKILL, starts it again and reads back every key of every cycle so far; some
 * cycles also kill it during replay or during a rebuild of the index, and half of the starts move its clock.
 * @throws with the seed, the findings and the folder, which is kept, when a single answer is wrong.
 */
export function runKillLoop(cycles: number): Promise<KillLoopReport> {
  return withFaultRun("kill-loop", async (run) => {
    const loop = new KillLoop(run, cycles);
    return await loop.all();
  });
}

class KillLoop {
  readonly #run: FaultRun;
  readonly #cycles: number;
  readonly #keySpace: KeySpace;
  readonly #shim: string;
  readonly #report: KillLoopReport = {
    acknowledgedWrites: 0,
    acknowledgedCleans: 0,
    killsInLoad: 0,
    killsInReplay: 0,
    killsInRebuild: 0,
    keysRead: 0,
  };

  constructor(run: FaultRun, cycles: number) {
    this.#run = run;
    this.#cycles = cycles;
    this.#keySpace = new KeySpace(run.seed, cleanedNamespaceCount);
    this.#shim = compileClockShim(run.folder);
  }

  async all(): Promise<KillLoopReport> {
    let node = await this.#spawn();
    await node.ready(readyMsMax);
    for (let cycle = 1; cycle <= this.#cycles; cycle++) {
      await this.#loadAndKill(node);
      if (cycle % replayKillPeriod === 1) await this.#killInReplay();
      if (cycle % this.#rebuildPeriod() === 3) await this.#killInRebuild();
      node = await this.#spawn();
      await node.ready(readyMsMax);
      const { readCount } = await this.#run.audit(node);
      this.#report.keysRead += readCount;
      if (cycle % cyclesBetweenLogs === 0) {
        console.log(`kill-loop: cycle ${cycle}: ${JSON.stringify(this.#report)}`);
      }
    }
    return this.#report;
  }

  /** Rebuilds cost time in proportion to everything ever written, so a long run has fewer of them. */
  #rebuildPeriod(): number {
    return this.#cycles > 100 ? 20 : 5;
  }

  async #loadAndKill(node: NodeProcess): Promise<void> {
    const { judge, random } = this.#run;
    this.#keySpace.allowKept(keptKeysPerCycle);
    const load = startLoad({
      port: node.port,
      judge,
      keySpace: this.#keySpace,
      random,
      writers: writersPerCycle,
      plannedBodies: planBodies(random),
      cleans: cleansPerCycle,
    });
    try {
      await load.reached(acknowledgedWritesMin, 1);
      await Bun.sleep(this.#between(loadMs));
    } finally {
      await node.kill();
      await load.stop();
    }
    judge.accept({ at: "crash" });
    this.#report.killsInLoad++;
    this.#report.acknowledgedWrites += load.progress.acknowledgedWrites;
    this.#report.acknowledgedCleans += load.progress.acknowledgedCleans;
  }

  async #killInReplay(): Promise<void> {
    this.#report.killsInReplay += await this.#startAndKill();
  }

  async #killInRebuild(): Promise<void> {
    removeIndex(this.#run.dataDir);
    this.#report.killsInRebuild += await this.#startAndKill();
  }

  async #startAndKill(): Promise<number> {
    const times = 1 + this.#run.random.below(killsInStartMax);
    for (let i = 0; i < times; i++) {
      const node = await this.#spawn();
      await Bun.sleep(this.#between(startMs));
      await node.kill();
    }
    return times;
  }

  async #spawn(): Promise<NodeProcess> {
    return await this.#run.spawn({ env: clockEnvironment(this.#shim, this.#drawClockOffsetMs()) });
  }

  /** Half of the starts have the right time; the others are behind or ahead, by up to ten years. */
  #drawClockOffsetMs(): number {
    const offsetsMs = [0, 0, 0, 0, -hour, -day, -3_650 * day, hour];
    return offsetsMs[this.#run.random.below(offsetsMs.length)]!;
  }

  #between({ min, max }: { min: number; max: number }): number {
    return min + this.#run.random.below(max - min + 1);
  }
}

import { NumberedBlobs } from "./action-blobs.ts";
import { ActionClient } from "./action-client.ts";
import { GrpcCaller } from "./grpc-caller.ts";
import { fill } from "./load.ts";
import { readMetrics } from "./node-metrics.ts";
import { startNode } from "./node-process.ts";

export type LeaseOptions = {
  readonly capacityBytes: number;
  readonly seed: number;
  /** Of the capacity: what the node vouches for, and what is written after that. */
  readonly leasedShare: number;
  readonly writtenShare: number;
};

export type LeaseReport = {
  readonly vouched: number;
  readonly leasesMost: number;
  readonly leaseBytesMost: number;
  readonly shortened: number;
  readonly unreadable: number;
  readonly evicted: number;
  readonly moved: number;
};

const blobsPerStep = 50;
const writtenBytes = 32 * 1024;
const connections = 16;

/**
 * Stores blobs, asks for them as builds do, and writes until everything that is not kept on purpose has gone.
 * @throws when the node does not vouch for a blob that it has taken, or refuses one.
 */
export async function runLeases(options: LeaseOptions): Promise<LeaseReport> {
  const { capacityBytes, seed, leasedShare, writtenShare } = options;
  await using node = await startNode({ env: { KURA_CAS_CAPACITY_BYTES: String(capacityBytes) } });
  const blobs = new NumberedBlobs(seed);
  const caller = new GrpcCaller(node.grpcPort);
  const client = new ActionClient(caller, blobs, "leases");
  try {
    const numbers = planBlobs(blobs, leasedShare * capacityBytes);
    await inSteps(numbers, blobsPerStep, async (step) => {
      await client.upload(step);
      // At once: room may be made ahead of the next ones, and only what was vouched for has to stay.
      const missing = await client.missing(step);
      if (missing.length > 0) throw new Error(`${missing.length} blobs are missing at once`);
    });
    const count = Math.ceil((writtenShare * capacityBytes) / writtenBytes);
    const written = await fill({
      port: node.port,
      first: 0,
      count,
      bodyBytes: writtenBytes,
      connections,
    });
    if (written.acknowledged.length !== count) throw new Error("Some writes were not answered");
    const full = await readMetrics(node.url);
    let unreadable = 0;
    await inSteps(numbers, blobsPerStep, async (step) => {
      unreadable += (await client.unreadable(step)).length;
    });
    return {
      vouched: numbers.length,
      leasesMost: full.sum("kura_leases"),
      leaseBytesMost: full.sum("kura_lease_bytes"),
      shortened: full.sum("kura_leases_shortened_total"),
      unreadable,
      evicted: full.sum("kura_store_evicted_artifacts_total"),
      moved: full.sum("kura_store_moved_artifacts_total"),
    };
  } finally {
    caller.close();
  }
}

function planBlobs(blobs: NumberedBlobs, wantedBytes: number): number[] {
  const numbers: number[] = [];
  for (let bytes = 0; bytes < wantedBytes; bytes += blobs.digestOf(numbers.length - 1).sizeBytes) {
    numbers.push(numbers.length);
  }
  return numbers;
}

async function inSteps(
  numbers: readonly number[],
  count: number,
  work: (step: readonly number[]) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < numbers.length; at += count) await work(numbers.slice(at, at + count));
}

/** For the figures that specs print. */
export function describeLeases(report: LeaseReport): string {
  const { vouched, leasesMost, shortened, unreadable, evicted, moved } = report;
  return (
    `${vouched} blobs vouched for, ${leasesMost} leases, ${shortened} shortened, ` +
    `${unreadable} unreadable; ${evicted} evicted, ${moved} moved`
  );
}

import { ByteBudget } from "../base/budget.ts";
import type { Clock } from "../base/clock.ts";
import { gatheredBytesMax } from "../base/limits.ts";
import { SharePool } from "../base/shares.ts";
import {
  classBytes,
  type LedgerClass,
  ledgerClasses,
  planRequests,
} from "../config/request-memory.ts";
import { gatheredBytesMax as grpcGatheredBytesMax } from "./grpc/limits.ts";

/**
 * What requests hold in memory at one time, by what they are. Each class has a minimum that no other can take from it;
 * see `request-memory.ts` for the shares.
 */
export type Ledger = Readonly<Record<LedgerClass, ByteBudget>> & {
  /** Of the uploads over HTTP, those of more than `waitingBodyBytesMax`: no memory beside theirs, only a bound for it. */
  readonly httpGathering: ByteBudget;
  /** The same over gRPC. */
  readonly grpcGathering: ByteBudget;
  /** All classes together. */
  readonly usedBytes: () => number;
  readonly limitBytes: number;
  /** Requests that wait for memory of any class. */
  readonly waiting: () => number;
};

export const ledgerClassNames = Object.keys(ledgerClasses) as LedgerClass[];

/** The ledger of a node with so much memory for requests. */
export function createLedger(totalBytes: number, clock: Clock): Ledger {
  const { ledgerBytes } = planRequests(totalBytes);
  const pool = new SharePool(ledgerBytes, clock);
  const open = (name: LedgerClass): ByteBudget => {
    const { minBytes, maxBytes } = classBytes(name, ledgerBytes);
    const what = `memory for ${ledgerClasses[name].what}`;
    return new ByteBudget(maxBytes, clock, undefined, { pool, minBytes, what });
  };
  const httpUploads = open("httpUploads");
  const grpcUploads = open("grpcUploads");
  const [reads, documents, coders] = [open("reads"), open("documents"), open("coders")];
  const among = (bytesMax: number, { limitBytes }: ByteBudget): ByteBudget =>
    new ByteBudget(Math.min(bytesMax, limitBytes), clock);
  const httpGathering = among(gatheredBytesMax, httpUploads);
  const grpcGathering = among(grpcGatheredBytesMax, grpcUploads);
  const all = [httpUploads, grpcUploads, reads, documents, coders, httpGathering, grpcGathering];
  return {
    httpUploads,
    grpcUploads,
    reads,
    documents,
    coders,
    httpGathering,
    grpcGathering,
    limitBytes: ledgerBytes,
    usedBytes: () => pool.used,
    waiting: () => all.reduce((sum, { waiting }) => sum + waiting, 0),
  };
}

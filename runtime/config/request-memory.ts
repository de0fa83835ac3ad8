import { MiB } from "../base/units.ts";

/**
 * How the memory for requests on their way is divided. Everything that clients can make a node hold is a part of it, so
 * the sum of all parts is what `KURA_UPLOAD_MEMORY_BYTES` says. Bytes.
 */
export type RequestMemory = {
  /** Bodies and messages that are held to be stored, read or decoded: the ledger. */
  readonly ledgerBytes: number;
  /** Messages of gRPC that have not come whole, or that nobody has taken yet. */
  readonly messageBytes: number;
  /** Answers of gRPC that wait for their clients, pieces of files among them. */
  readonly answerBytes: number;
  /** What has come of bodies over HTTP and that nobody has taken; once for the plain port, once for TLS. */
  readonly socketBytes: number;
};

/** One read of a socket; more than sixteen of them brought nothing (see `body-memory.ts`). */
const socketBytesMax = 8 * MiB;
/** Beyond it more messages or answers at one time help nobody. */
const streamBytesMax = 128 * MiB;
const httpPorts = 2;

/** The parts of so much memory, at least 1 MiB. */
export function planRequests(totalBytes: number): RequestMemory {
  const messageBytes = Math.min(streamBytesMax, Math.floor(totalBytes / 4));
  const answerBytes = Math.min(streamBytesMax, Math.floor(totalBytes / 4));
  const socketBytes = Math.min(socketBytesMax, Math.floor(totalBytes / 16));
  const ledgerBytes = totalBytes - messageBytes - answerBytes - httpPorts * socketBytes;
  return { ledgerBytes, messageBytes, answerBytes, socketBytes };
}

/** What one class of the ledger has for itself, and the most that it may hold, both as parts of the ledger. */
type ClassRule = {
  readonly minShare: number;
  readonly maxShare: number;
  readonly bytesMax: number;
  readonly what: string;
};

const unlimited = Number.POSITIVE_INFINITY;

/**
 * The classes of the ledger. What is left beside the minimums is common. Three in eight are enough for each class to go
 * on while all others hold what they can; one more class is one more line.
 */
export const ledgerClasses = {
  httpUploads: { minShare: 1 / 8, maxShare: 1, bytesMax: unlimited, what: "uploads over HTTP" },
  grpcUploads: { minShare: 1 / 8, maxShare: 1, bytesMax: unlimited, what: "uploads over gRPC" },
  /** Whole action results, trees and batches. */
  reads: { minShare: 1 / 8, maxShare: 1, bytesMax: unlimited, what: "bodies that are read whole" },
  /** Charged in full before they come when nobody says how long they are, so a few slow ones would hold everything. */
  documents: { minShare: 1 / 32, maxShare: 3 / 8, bytesMax: unlimited, what: "documents" },
  /** 40 encoders of zstd, which take 1.5 MiB each, or as many usual decoders. */
  coders: { minShare: 1 / 32, maxShare: 1 / 2, bytesMax: 64 * MiB, what: "zstd" },
} as const satisfies Readonly<Record<string, ClassRule>>;

export type LedgerClass = keyof typeof ledgerClasses;

/** What a class of a ledger of this size has: its minimum and its most. Bytes. */
export function classBytes(
  name: LedgerClass,
  ledgerBytes: number,
): { readonly minBytes: number; readonly maxBytes: number } {
  const { minShare, maxShare, bytesMax } = ledgerClasses[name];
  const othersShare = Object.values(ledgerClasses).reduce((sum, each) => sum + each.minShare, 0);
  const reachShare = Math.min(maxShare, 1 - othersShare + minShare);
  return {
    minBytes: Math.min(bytesMax, Math.floor(ledgerBytes * minShare)),
    maxBytes: Math.min(bytesMax, Math.floor(ledgerBytes * reachShare)),
  };
}

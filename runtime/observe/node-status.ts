import { assert } from "../base/assert.ts";
import { DegradedModes } from "./degraded.ts";
import { type MemoryPressure, noPressure } from "./memory-pressure.ts";

/** Who this node is, as told by probes, metrics and the first lines of `kura serve`. */
export type NodeIdentity = {
  readonly tenant: string;
  readonly region: string;
  /** Address for peers. */
  readonly nodeUrl: string;
  readonly version: string;
  /** Whether the public ports accept anybody beyond this machine without asking who they are. */
  readonly isInsecure: boolean;
};

/**
 * The life of a node, in this order and never back.
 * `recovering`: listeners are up, the log is being replayed, cache routes answer 503 with Retry-After.
 * `joining`: everything is served, `/ready` is still 503. `serving`: `/ready` is 200.
 * `draining`: what is in flight finishes, new cache requests get 503 and `Connection: close`.
 */
export type NodePhase = "recovering" | "joining" | "serving" | "draining";

const phases: readonly NodePhase[] = ["recovering", "joining", "serving", "draining"];

/** Names for programs, which never change: people read the sentence. */
export type ReasonCode =
  | "recovering"
  | "joining"
  | "draining"
  | "store_read_only"
  | "store_recovering"
  | "store_wedged";

/** Why a node is not ready. */
export type Reason = { readonly code: ReasonCode; readonly sentence: string };

/** What the surfaces see of the node's life. Every answer comes from memory: probes take no lock and ask nobody. */
export interface NodeStatus {
  readonly identity: NodeIdentity;
  readonly phase: NodePhase;
  /** The names of the contract for `/ready` and `/status/rollout`, where recovery is a part of joining. */
  readonly state: "joining" | "serving" | "draining";
  readonly isReady: boolean;
  readonly isDraining: boolean;
  /** Raised when the view of the mesh changes; 0 before the first one. */
  readonly generation: number;
  /** Node URLs of this node and the peers it knows. */
  readonly members: readonly string[];
  readonly ownsWriterLock: boolean;
  readonly isDiscoveryCompleted: boolean;
  /** Requests taken and not yet answered to their last byte, on the public HTTP port, probes left out. */
  readonly httpInflight: number;
  readonly grpcInflight: number;
  readonly memory: MemoryPressure;
  /** Replay of the log, in bytes; null before it began and once it has ended. */
  readonly recovery: RecoveryProgress | null;
  /** What goes worse than it should; `/ready` does not depend on it. */
  readonly degraded: DegradedModes;
  /** Why only a restart will help, in one sentence: `/up` fails. Null for as long as the node may help itself. */
  readonly endOfLife: string | null;
  /** How late the loop was at worst of late, in ms. */
  readonly loopLagMs: number;
  /** Why the node is not ready; empty when it is. */
  reasons(): Reason[];
  /** The surface counts its cache requests: one `httpStarted`, one `httpEnded`, whatever happens in between. */
  httpStarted(): void;
  httpEnded(): void;
  /** The same for calls on the gRPC port. */
  grpcStarted(): void;
  grpcEnded(): void;
}

export type RecoveryProgress = { readonly doneBytes: number; readonly totalBytes: number };

/** The status with its controls: only the server's life cycle holds one. */
export class NodeLife implements NodeStatus {
  readonly identity: NodeIdentity;
  readonly members: readonly string[];
  readonly memory: MemoryPressure;
  #phase: NodePhase = "recovering";
  readonly degraded = new DegradedModes();
  #trouble: Reason | null = null;
  #endOfLife: string | null = null;
  #httpInflight = 0;
  #grpcInflight = 0;
  #generation = 0;
  #loopLagMs: () => number = () => 0;
  readonly #recoveryNow: () => RecoveryProgress | null;

  constructor(
    identity: NodeIdentity,
    recoveryNow: () => RecoveryProgress | null,
    memory = noPressure(),
  ) {
    this.identity = identity;
    this.members = [identity.nodeUrl];
    this.memory = memory;
    this.#recoveryNow = recoveryNow;
  }

  get phase(): NodePhase {
    return this.#phase;
  }

  get state(): "joining" | "serving" | "draining" {
    return this.#phase === "recovering" ? "joining" : this.#phase;
  }

  get isReady(): boolean {
    return this.#phase === "serving" && this.#trouble === null;
  }

  get isDraining(): boolean {
    return this.#phase === "draining";
  }

  get generation(): number {
    return this.#generation;
  }

  /** There is no node without it: the lock is taken before the listeners. */
  get ownsWriterLock(): boolean {
    return true;
  }

  /** Without peers discovery ends with the recovery. */
  get isDiscoveryCompleted(): boolean {
    return this.#generation > 0;
  }

  get httpInflight(): number {
    return this.#httpInflight;
  }

  get grpcInflight(): number {
    return this.#grpcInflight;
  }

  get recovery(): RecoveryProgress | null {
    return this.#phase === "recovering" ? this.#recoveryNow() : null;
  }

  get endOfLife(): string | null {
    return this.#endOfLife;
  }

  get loopLagMs(): number {
    return this.#loopLagMs();
  }

  reasons(): Reason[] {
    const reasons: Reason[] = [];
    const progress = this.recovery;
    if (this.#phase === "recovering") {
      const done =
        progress === null ? "" : `: ${progress.doneBytes} of ${progress.totalBytes} bytes`;
      reasons.push({ code: "recovering", sentence: `recovering the store${done}` });
    }
    if (this.#phase === "joining") reasons.push({ code: "joining", sentence: "joining the mesh" });
    if (this.#phase === "draining") reasons.push({ code: "draining", sentence: "draining" });
    if (this.#trouble !== null) reasons.push(this.#trouble);
    return reasons;
  }

  httpStarted(): void {
    this.#httpInflight += 1;
  }

  httpEnded(): void {
    this.#httpInflight -= 1;
    assert(this.#httpInflight >= 0, "every ended request was counted at its start");
  }

  grpcStarted(): void {
    this.#grpcInflight += 1;
  }

  grpcEnded(): void {
    this.#grpcInflight -= 1;
    assert(this.#grpcInflight >= 0, "every ended call was counted at its start");
  }

  /** Goes forward to `phase`; going back or staying is ignored, so that a drain during recovery stays a drain. */
  advance(phase: NodePhase): boolean {
    if (phases.indexOf(phase) <= phases.indexOf(this.#phase)) return false;
    this.#phase = phase;
    if (phase === "serving") this.#generation = 1;
    return true;
  }

  /** A state of the store that takes the node out of rotation; null when it has passed. */
  setTrouble(reason: Reason | null): void {
    this.#trouble = reason;
  }

  /** The trouble has lasted for so long that the node should be started again; null when it has passed after all. */
  setEndOfLife(sentence: string | null): void {
    this.#endOfLife = sentence;
  }

  setLoopLag(read: () => number): void {
    this.#loopLagMs = read;
  }
}

import { asFault } from "../../runtime/base/fault.ts";
import type { Random } from "../../runtime/base/random.ts";
import { KiB } from "../../runtime/base/units.ts";
import { makeScope, nameArtifact } from "../../runtime/store/identity.ts";
import type { BodyFacts, Change } from "../../runtime/store/store.ts";
import type { Model, Request, Ticket } from "./model.ts";
import { drive, turn } from "./sim-clock.ts";
import type { SimStore } from "./sim-store.ts";

/** One thing that a client does. Steps are issued without waiting, so that groups form, until a `wait`. */
export type Step =
  | {
      readonly at: "put";
      readonly scope: string;
      readonly key: string;
      readonly rule: "firstWins" | "lastWins";
      readonly sizeBytes: number;
      /** Through a large file of its own, in chunks of this many bytes. */
      readonly chunkBytes?: number;
    }
  | { readonly at: "delete"; readonly scope: string; readonly key: string }
  | { readonly at: "clean"; readonly scope: string }
  | { readonly at: "abort"; readonly sizeBytes: number }
  | { readonly at: "wait" }
  | { readonly at: "checkpoint" }
  | { readonly at: "jumpClock"; readonly byMs: number };

/** Twenty steps that bring the store through everything it does: the script of the exhaustive runs. */
export const twentySteps: readonly Step[] = [
  { at: "put", scope: "a/one", key: "k1", rule: "firstWins", sizeBytes: 300 },
  { at: "put", scope: "a/one", key: "k2", rule: "firstWins", sizeBytes: 0 },
  { at: "wait" },
  { at: "put", scope: "a/one", key: "k1", rule: "lastWins", sizeBytes: 700 },
  { at: "put", scope: "a/two", key: "k3", rule: "firstWins", sizeBytes: 40 },
  { at: "put", scope: "a/two", key: "k3", rule: "firstWins", sizeBytes: 41 },
  { at: "wait" },
  { at: "put", scope: "a/one", key: "large", rule: "lastWins", sizeBytes: 1_500, chunkBytes: 700 },
  { at: "delete", scope: "a/one", key: "k2" },
  { at: "wait" },
  { at: "checkpoint" },
  { at: "clean", scope: "a/one" },
  { at: "put", scope: "a/one", key: "k1", rule: "firstWins", sizeBytes: 90 },
  { at: "wait" },
  { at: "jumpClock", byMs: -3_600_000 },
  { at: "put", scope: "a/one", key: "large", rule: "lastWins", sizeBytes: 900, chunkBytes: 4_000 },
  { at: "put", scope: "a/two", key: "k3", rule: "lastWins", sizeBytes: 2_000 },
  { at: "wait" },
  { at: "put", scope: "a/two", key: "k4", rule: "firstWins", sizeBytes: 1_200 },
  { at: "clean", scope: "a/two" },
];

const scopes = ["a/one", "a/two", "b/one"] as const;
const keyCount = 5;

/** A script of `stepCount` steps from a seed. */
export function randomSteps(random: Random, stepCount: number): Step[] {
  return Array.from({ length: stepCount }, () => randomStep(random));
}

function randomStep(random: Random): Step {
  const scope = scopes[random.below(scopes.length)] ?? scopes[0];
  const key = `k${random.below(keyCount)}`;
  const rule = random.below(3) === 0 ? "firstWins" : "lastWins";
  const draw = random.below(100);
  if (draw < 36) return { at: "put", scope, key, rule, sizeBytes: randomSize(random) };
  if (draw < 46) {
    const sizeBytes = random.below(9 * KiB);
    return { at: "put", scope, key, rule, sizeBytes, chunkBytes: 1 + random.below(5 * KiB) };
  }
  if (draw < 54) return { at: "delete", scope, key };
  if (draw < 60) return { at: "clean", scope };
  if (draw < 63) return { at: "abort", sizeBytes: random.below(4 * KiB) };
  if (draw < 68) return { at: "checkpoint" };
  if (draw < 70) return { at: "jumpClock", byMs: random.below(200_000) - 100_000 };
  return { at: "wait" };
}

function randomSize(random: Random): number {
  const draw = random.below(10);
  if (draw === 0) return 0;
  if (draw === 1) return random.below(12 * KiB);
  return random.below(900);
}

const facts: BodyFacts = { kind: "keyValue", sha256: null, attributes: {}, writer: "" };

/** Drives one store with a script, and tells the model what the clients are told. */
export class ScriptedClients {
  readonly #sim: SimStore;
  readonly #model: Model;
  readonly breaches: string[] = [];
  #underWay = 0;

  constructor(sim: SimStore, model: Model) {
    this.#sim = sim;
    this.#model = model;
  }

  /** Runs steps until their end or until the machine goes off; pending requests are unknown then. */
  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      if (this.#sim.calls.isOff) break;
      await this.#take(step);
    }
    await this.wait();
    if (this.#sim.calls.isOff) this.#model.cut();
  }

  async wait(): Promise<void> {
    await this.#sim.until(() => this.#underWay === 0, 120_000);
  }

  /** Reads every key and compares: what is visible now must be durable, and what clients were told. */
  async judgeReads(): Promise<void> {
    for (const { scope, key } of this.#model.keys()) {
      const found = await this.#sim.read(nameOf(scope, key)).catch(visibleFailure);
      if (this.#sim.calls.isOff || found === "unavailable") return;
      const breach = this.#model.judge(scope, key, found);
      if (breach !== null) this.breaches.push(`read while running: ${breach}`);
    }
  }

  async #take(step: Step): Promise<void> {
    switch (step.at) {
      case "wait":
        return this.wait();
      case "jumpClock":
        return this.#sim.clock.jumpWall(step.byMs);
      case "checkpoint":
        return this.#checkpoint();
      case "abort":
        return this.#abort(step.sizeBytes);
      case "put": {
        const { scope, key, rule, sizeBytes, chunkBytes } = step;
        const value = this.#model.newValue(sizeBytes);
        const request: Request = { op: "put", scope, key, rule, value };
        if (chunkBytes === undefined) return this.#commitNow(request, this.#model.bytesOf(value));
        return this.#stageAndCommit(request, this.#model.bytesOf(value), chunkBytes);
      }
      case "delete":
        return this.#commitNow({ op: "delete", scope: step.scope, key: step.key }, null);
      case "clean":
        return this.#commitNow({ op: "clean", scope: step.scope }, null);
    }
  }

  async #commitNow(request: Request, body: Uint8Array | null): Promise<void> {
    this.#commit(request, changeOf(request, body));
    await turn();
  }

  #commit(request: Request, change: Change): void {
    const ticket = this.#model.begin(request);
    this.#underWay += 1;
    this.#sim.store.commit(change).then(
      (outcome) => {
        this.#underWay -= 1;
        if (ticket.status !== "pending") return;
        const breach = this.#model.answer(ticket, outcome);
        if (breach !== null) this.breaches.push(breach);
      },
      (error: unknown) => this.#fail(ticket, error),
    );
  }

  #fail(ticket: Ticket, error: unknown): void {
    this.#underWay -= 1;
    if (this.#sim.calls.isOff) return;
    this.#model.fail(ticket, error);
  }

  /** Like an upload: what cannot be staged is never asked for. */
  async #stageAndCommit(request: Request, body: Uint8Array, chunkBytes: number): Promise<void> {
    const staged = await this.#stage(request, body, chunkBytes);
    if (staged === null || this.#sim.calls.isOff) return;
    this.#commit(request, changeOf(request, staged));
    await turn();
  }

  async #stage(request: Request, body: Uint8Array, chunkBytes: number) {
    if (request.op !== "put") return null;
    try {
      const stage = this.#sim.store.stage(body.length);
      const finished = (async () => {
        for (let at = 0; at < body.length; at += chunkBytes) {
          await stage.write(body.subarray(at, at + chunkBytes));
        }
        return stage.finish(nameOf(request.scope, request.key), facts);
      })();
      try {
        return (await drive(this.#sim.clock, finished))?.value ?? null;
      } catch {
        stage.discard();
        return null;
      }
    } catch {
      // Refused for its size, or a fault while it was thrown away: nothing was asked for yet.
      return null;
    }
  }

  async #abort(sizeBytes: number): Promise<void> {
    try {
      const stage = this.#sim.store.stage(sizeBytes);
      await drive(this.#sim.clock, stage.write(new Uint8Array(sizeBytes)));
      if (!this.#sim.calls.isOff) stage.discard();
    } catch {
      // An upload that fails while it is cut off harms nobody.
    }
  }

  async #checkpoint(): Promise<void> {
    if (!this.#sim.calls.isOff) this.#sim.home.flush();
  }
}

/** A scope is written as tenant/namespace. */
export function nameOf(scope: string, key: string) {
  const [tenant = "", namespace = ""] = scope.split("/");
  return nameArtifact("xcode", makeScope(tenant, namespace), key);
}

/** A read may fail where the client sees it: while the store recovers, and while its index is away. */
function visibleFailure(error: unknown): "unavailable" {
  if (asFault(error).code !== "unavailable") throw error;
  return "unavailable";
}

function changeOf(
  request: Request,
  body: Uint8Array | { file: number; sizeBytes: number; digest: bigint } | null,
): Change {
  if (request.op === "clean") {
    const [tenant = "", namespace = ""] = request.scope.split("/");
    return { op: "clean", scope: makeScope(tenant, namespace) };
  }
  const name = nameOf(request.scope, request.key);
  if (request.op === "delete") return { op: "delete", name, kind: "keyValue" };
  return {
    ...facts,
    op: "put",
    name,
    rule: request.rule,
    contentType: "application/octet-stream",
    body: body ?? new Uint8Array(0),
  };
}

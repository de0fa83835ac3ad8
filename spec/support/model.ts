import { asFault } from "../../runtime/base/fault.ts";
import type { Outcome } from "../../runtime/store/store.ts";

/** What a client asked for, by names that the model understands. A value is a number from 1; its bytes are derived. */
export type Request =
  | {
      readonly op: "put";
      readonly scope: string;
      readonly key: string;
      readonly value: number;
      readonly rule: "firstWins" | "lastWins";
    }
  | { readonly op: "delete"; readonly scope: string; readonly key: string }
  | { readonly op: "clean"; readonly scope: string };

type Status = "pending" | "acknowledged" | "refused" | "unknown";

/** A request under way, and in the end what the client was told of it. */
export type Ticket = { readonly request: Request; status: Status; outcome: Outcome["at"] | null };

/** No value: the key is a miss. */
export const nothing = 0;

/**
 * What clients may find, from what they were told. Requests take effect in the order of their making, as the store
 * promises; one whose outcome nobody was told may have taken effect or not, and a refused one has not.
 */
export class Model {
  readonly #tickets: Ticket[] = [];
  /** What was found at the last start: everything before it is settled. */
  readonly #settled = new Map<string, number>();
  readonly #keys = new Map<string, { scope: string; key: string }>();
  readonly #sizes = new Map<number, number>();
  #valueCount = 0;

  /** A value nobody has written yet. */
  newValue(sizeBytes: number): number {
    this.#valueCount += 1;
    this.#sizes.set(this.#valueCount, sizeBytes);
    return this.#valueCount;
  }

  bytesOf(value: number): Uint8Array {
    const bytes = new Uint8Array(this.#sizes.get(value) ?? 0);
    for (let i = 0; i < bytes.length; i++) bytes[i] = (value * 167 + i * 13 + (i >> 7)) & 0xff;
    for (let i = 0; i < Math.min(4, bytes.length); i++) bytes[i] = (value >> (8 * i)) & 0xff;
    return bytes;
  }

  /** Every key that was ever written. */
  keys(): { scope: string; key: string }[] {
    return [...this.#keys.values()];
  }

  begin(request: Request): Ticket {
    const ticket: Ticket = { request, status: "pending", outcome: null };
    this.#tickets.push(ticket);
    if (request.op === "put") {
      const { scope, key } = request;
      this.#keys.set(`${scope}/${key}`, { scope, key });
    }
    return ticket;
  }

  /** Notes what the client was told; returns a breach, if the answer itself is one. */
  answer(ticket: Ticket, outcome: Outcome): string | null {
    const before = this.#possibleBefore(ticket);
    ticket.status = "acknowledged";
    ticket.outcome = outcome.at;
    const { request } = ticket;
    if (request.op !== "put" || before === null) return null;
    if (outcome.at === "exists" && request.rule === "lastWins") return "a replacing put got exists";
    const where = `put ${request.scope}/${request.key}`;
    if (outcome.at === "exists" && !before.some((value) => value !== nothing)) {
      return `${where} got exists, but nothing is there`;
    }
    const isOverwrite = outcome.at === "stored" && request.rule === "firstWins";
    if (isOverwrite && !before.includes(nothing)) return `${where} replaced the first writer's`;
    return null;
  }

  fail(ticket: Ticket, error: unknown): void {
    const isUnknown = !isRefusal(asFault(error).code);
    ticket.status = isUnknown ? "unknown" : "refused";
  }

  /** The machine went off: nobody was told how the rest ended. */
  cut(): void {
    for (const ticket of this.#tickets) if (ticket.status === "pending") ticket.status = "unknown";
  }

  get pendingCount(): number {
    return this.#tickets.filter((ticket) => ticket.status === "pending").length;
  }

  get acknowledgedCount(): number {
    return this.#tickets.filter((ticket) => ticket.status === "acknowledged").length;
  }

  /** Values that a reader may find under a key now; `nothing` among them when a miss is right too. */
  possible(scope: string, key: string): number[] {
    return this.#fold(scope, key, this.#tickets);
  }

  /** Compares what a reader found; returns the breach, or null. Damaged counts as found wrong. */
  judge(scope: string, key: string, found: Uint8Array | "damaged" | null): string | null {
    const possible = this.possible(scope, key);
    return possible.some((value) => this.#isSame(value, found))
      ? null
      : `${scope}/${key}: found ${this.#describe(found)}, allowed ${possible.join(" or ")}`;
  }

  /** The same for all keys right after a start: from here on what was found is what there is. */
  settle(found: ReadonlyMap<string, Uint8Array | "damaged" | null>): string[] {
    const breaches: string[] = [];
    const settled = new Map<string, number>();
    for (const { scope, key } of this.keys()) {
      const bytes = found.get(`${scope}/${key}`) ?? null;
      const breach = this.judge(scope, key, bytes);
      if (breach !== null) breaches.push(breach);
      const value = this.possible(scope, key).find((each) => this.#isSame(each, bytes));
      settled.set(`${scope}/${key}`, value ?? nothing);
    }
    this.#tickets.length = 0;
    for (const [path, value] of settled) this.#settled.set(path, value);
    return breaches;
  }

  /** A copy to judge one of many possible survivals with. */
  copy(): Model {
    const copied = new Model();
    for (const ticket of this.#tickets) copied.#tickets.push({ ...ticket });
    for (const [path, value] of this.#settled) copied.#settled.set(path, value);
    for (const [path, key] of this.#keys) copied.#keys.set(path, key);
    for (const [value, size] of this.#sizes) copied.#sizes.set(value, size);
    copied.#valueCount = this.#valueCount;
    return copied;
  }

  #possibleBefore(ticket: Ticket): number[] | null {
    const { request } = ticket;
    if (request.op === "clean") return null;
    const before = this.#tickets.slice(0, this.#tickets.indexOf(ticket));
    return this.#fold(request.scope, request.key, before);
  }

  #fold(scope: string, key: string, tickets: readonly Ticket[]): number[] {
    let possible = new Set([this.#settled.get(`${scope}/${key}`) ?? nothing]);
    for (const ticket of tickets) {
      const { request, status } = ticket;
      if (request.scope !== scope || status === "refused" || status === "pending") continue;
      if (request.op !== "clean" && request.key !== key) continue;
      const after = effectOf(request, ticket.outcome, possible);
      possible = status === "unknown" ? new Set([...possible, ...after]) : after;
    }
    return [...possible];
  }

  #isSame(value: number, found: Uint8Array | "damaged" | null): boolean {
    if (value === nothing || found === null) return value === nothing && found === null;
    return found !== "damaged" && Buffer.compare(found, this.bytesOf(value)) === 0;
  }

  #describe(found: Uint8Array | "damaged" | null): string {
    if (found === null) return "nothing";
    if (found === "damaged") return "damage";
    const value = [...this.#sizes.keys()].find((each) => this.#isSame(each, found));
    return value === undefined ? `${found.length} bytes that nobody wrote` : `value ${value}`;
  }
}

/** What a request makes of each state that was possible before it. */
function effectOf(
  request: Request,
  outcome: Outcome["at"] | null,
  before: Set<number>,
): Set<number> {
  if (request.op !== "put") return new Set([nothing]);
  if (outcome === "exists") return new Set([...before].filter((value) => value !== nothing));
  if (request.rule === "lastWins" || outcome === "stored") return new Set([request.value]);
  // First wins, and nobody was told whether it did.
  return new Set([...before].map((value) => (value === nothing ? request.value : value)));
}

function isRefusal(code: string): boolean {
  return (
    code === "full" || code === "unavailable" || code === "overloaded" || code === "badRequest"
  );
}

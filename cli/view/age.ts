import { day, hour, minute, second } from "../../runtime/base/units.ts";

/** A duration in its largest unit, rounded down: `3 d`, `5 h`, `12 min`, `40 s`. */
export function renderAge(durationMs: number): string {
  const lasting = Math.max(0, durationMs);
  if (lasting >= day) return `${Math.floor(lasting / day)} d`;
  if (lasting >= hour) return `${Math.floor(lasting / hour)} h`;
  if (lasting >= minute) return `${Math.floor(lasting / minute)} min`;
  return `${Math.floor(lasting / second)} s`;
}

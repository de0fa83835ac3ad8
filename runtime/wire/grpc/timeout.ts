import { hour, minute, second } from "../../base/units.ts";

const timeoutForm = /^([0-9]{1,8})([HMSmun])$/;
const unitMs: Readonly<Record<string, number>> = {
  H: hour,
  M: minute,
  S: second,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
/** No call lasts longer, whatever it says: a timer holds 2^31 ms. */
const timeoutMsMax = 24 * hour;

/** Milliseconds of a `grpc-timeout`; null when it is none. @source gRPC over HTTP/2, "Timeout". */
export function parseTimeout(text: string): number | null {
  const [, digits, unit = ""] = timeoutForm.exec(text) ?? [];
  if (digits === undefined) return null;
  return Math.min(timeoutMsMax, Number(digits) * (unitMs[unit] ?? 1));
}

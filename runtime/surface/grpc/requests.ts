import type { ByteBudget } from "../../base/budget.ts";
import { Fault } from "../../base/fault.ts";
import type { Call } from "../../wire/grpc/method.ts";

export function bad(message: string): Fault {
  return new Fault("badRequest", message);
}

/** @throws Fault "badRequest" for bytes that are not the message that the method takes. */
export function needMessage<T>(message: T | null, name: string): T {
  if (message === null) throw bad(`Cannot decode the request: it is no ${name}`);
  return message;
}

/**
 * Takes from a budget for one call, waiting if need be. @throws as `ByteBudget.take`.
 * The signal is asked for only then: it costs more than all else here.
 */
export async function takeFor(
  call: Call,
  budget: ByteBudget,
  { bytes, withinMs }: { readonly bytes: number; readonly withinMs: number },
): Promise<void> {
  if (!budget.tryTake(bytes)) await budget.take(bytes, { withinMs, signal: call.signal });
}

import type { ArtifactKind } from "../../catalog/kinds.ts";
import type { Result } from "../../observe/metrics.ts";
import { clientOf } from "../../observe/metrics-client.ts";
import type { ArtifactName } from "../../store/identity.ts";
import type { Call } from "../../wire/grpc/method.ts";
import { missReasonOf } from "../http/miss-reason.ts";
import type { GrpcSurface } from "./surface.ts";

type Transfer = { readonly kind: ArtifactKind; readonly result: Result; readonly bytes: number };

export function countRead({ metrics }: GrpcSurface, call: Call, transfer: Transfer): void {
  const { kind, result, bytes } = transfer;
  metrics.read(kind.place, clientOf(call.header("user-agent")), result, bytes);
}

/** The same for a pointer, which is a hit, a miss with its reason, or trouble. */
export function countPointerRead(
  surface: GrpcSurface,
  call: Call,
  transfer: Transfer,
  name: ArtifactName,
): void {
  const { kind, result } = transfer;
  const { metrics, store } = surface;
  countRead(surface, call, transfer);
  if (result === "ok") metrics.hit(kind.place, name.scope);
  const reason = missReasonOf(store, kind, name, result);
  if (reason === null) return;
  metrics.pointerMiss(kind.place, clientOf(call.header("user-agent")), name.scope, reason);
}

export function countWrite({ metrics }: GrpcSurface, call: Call, transfer: Transfer): void {
  const { kind, result, bytes } = transfer;
  metrics.write(kind.place, clientOf(call.header("user-agent")), result, bytes);
}

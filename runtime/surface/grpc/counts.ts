import type { ArtifactKind } from "../../catalog/kinds.ts";
import type { Result } from "../../observe/metrics.ts";
import { clientOf } from "../../observe/metrics-client.ts";
import type { Call } from "../../wire/grpc/method.ts";
import type { GrpcSurface } from "./surface.ts";

type Transfer = { readonly kind: ArtifactKind; readonly result: Result; readonly bytes: number };

export function countRead({ metrics }: GrpcSurface, call: Call, transfer: Transfer): void {
  const { kind, result, bytes } = transfer;
  metrics.read(kind.place, clientOf(call.header("user-agent")), result, bytes);
}

export function countWrite({ metrics }: GrpcSurface, call: Call, transfer: Transfer): void {
  const { kind, result, bytes } = transfer;
  metrics.write(kind.place, clientOf(call.header("user-agent")), result, bytes);
}

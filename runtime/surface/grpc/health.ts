import { second } from "../../base/units.ts";
import type { NodeStatus } from "../../observe/node-status.ts";
import type { Call, Replies } from "../../wire/grpc/method.ts";
import { GrpcFailure, grpcCodes } from "../../wire/grpc/status.ts";
import { WireReader } from "../../wire/proto/wire-reader.ts";
import { WireWriter } from "../../wire/proto/wire-writer.ts";
import { needMessage } from "./requests.ts";
import type { GrpcSurface } from "./surface.ts";

/** @source grpc/health/v1/health.proto. */
const requestFields = { service: 1 } as const;
const responseFields = { status: 1 } as const;
const servingStatus = { serving: 1, notServing: 2, serviceUnknown: 3 } as const;
type ServingStatus = (typeof servingStatus)[keyof typeof servingStatus];

const nameCharsMax = 1_024;
/** A change is told within this. */
const watchPeriodMs = 1 * second;

/**
 * Whether a service takes calls; all of them do, or none, as `/ready` says. @source grpc.io, Health Checking.
 * @throws GrpcFailure "notFound" for a service that is not served here.
 */
export function checkHealth(
  { status }: GrpcSurface,
  services: readonly string[],
  request: Uint8Array,
): Uint8Array {
  const service = needMessage(decodeService(request), "HealthCheckRequest");
  const found = statusOf(status, services, service);
  if (found === servingStatus.serviceUnknown) {
    throw new GrpcFailure(grpcCodes.notFound, `There is no service ${service} here`);
  }
  return encodeStatus(found);
}

/** Tells the same now and whenever it changes, until the client goes away or the node drains. */
export async function watchHealth(
  { status, clock }: GrpcSurface,
  services: readonly string[],
  { call, request, replies }: { call: Call; request: Uint8Array; replies: Replies },
): Promise<void> {
  const service = needMessage(decodeService(request), "HealthCheckRequest");
  let told: ServingStatus | null = null;
  for (;;) {
    const now = statusOf(status, services, service);
    if (now !== told) await replies.send(encodeStatus(now));
    told = now;
    if (status.isDraining) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        timer.cancel();
        call.signal.removeEventListener("abort", go);
        resolve();
      };
      const timer = clock.after(watchPeriodMs, go);
      call.signal.addEventListener("abort", go);
      if (call.signal.aborted) go();
    });
    if (call.signal.aborted) return;
  }
}

function statusOf(
  { isReady }: NodeStatus,
  services: readonly string[],
  service: string,
): ServingStatus {
  if (service !== "" && !services.includes(service)) return servingStatus.serviceUnknown;
  return isReady ? servingStatus.serving : servingStatus.notServing;
}

function decodeService(bytes: Uint8Array): string | null {
  const reader = new WireReader(bytes);
  let service = "";
  while (reader.next()) {
    if (reader.field === requestFields.service) service = reader.utf8(nameCharsMax);
    else reader.passOver();
  }
  return reader.isBroken ? null : service;
}

function encodeStatus(status: ServingStatus): Uint8Array {
  const writer = new WireWriter();
  writer.number(responseFields.status, status);
  return writer.finish();
}

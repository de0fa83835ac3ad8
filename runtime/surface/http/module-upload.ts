import { Fault } from "../../base/fault.ts";
import { moduleEntry } from "../../catalog/kinds.ts";
import { type ArtifactTarget, artifactTarget } from "../../catalog/target.ts";
import { uploadMissing } from "../../store/multipart.ts";
import type { Exchange } from "./exchange.ts";

/** What a part or a completion belongs to. */
export type ModuleUpload = { readonly id: string; readonly target: ArtifactTarget };

/**
 * The upload that a request names. Tenant, namespace and key come from its start and never from this request's query:
 * else somebody who may write to one scope could write to another.
 * @throws Fault "missing" when there is none.
 * @source surfaces.md 11, row 13.
 */
export function findUpload(exchange: Exchange, id: string): ModuleUpload {
  const name = exchange.surface.store().uploads.find(id);
  if (name === null) throw uploadMissing();
  const { scope, key } = name;
  const target = artifactTarget("write", { producer: moduleEntry.producer, scope, key });
  exchange.target = target;
  return { id, target };
}

/** @throws Fault "badRequest" when the parameter was not given. */
export function required(value: string | null, name: string): string {
  if (value !== null) return value;
  throw new Fault("badRequest", `Cannot do without ${name}: add ?${name}=<${name}> to the URL`);
}

import { targetCharsMax } from "../../base/limits.ts";

/** Cuts a request target into path and query, both not decoded; the query is without its question mark. */
export function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const queryStart = target.indexOf("?");
  if (queryStart === -1) return { path: target, query: "" };
  return { path: target.slice(0, queryStart), query: target.slice(queryStart + 1) };
}

export function isTargetTooLong(target: string): boolean {
  return target.length > targetCharsMax;
}

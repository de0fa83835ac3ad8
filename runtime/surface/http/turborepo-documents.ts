import { Fault } from "../../base/fault.ts";
import { idBytesMax } from "../../base/limits.ts";
import { checkId } from "../../catalog/id.ts";
import { isJsonObject, jsonMember, parseJson, type RefuseJson } from "../../catalog/json.ts";
import {
  type TurborepoOutcome,
  type TurborepoSource,
  turborepoOutcomes,
  turborepoSources,
} from "../../observe/metrics.ts";

/** Bodies of Turborepo's two JSON requests: it sends 10 events at a time, 150 bytes each. */
export const turborepoJsonBytesMax = 1_048_576;

/** Beyond what any of its clients sends at once; each event is one addition. */
const eventsMax = 10_000;

/** Each hash is one look-up of about 10 us, and they are answered in one piece on the loop. */
const hashesMax = 1_000;

/** One use of the cache as the client saw it. */
export type TurborepoEvent = {
  readonly source: TurborepoSource;
  readonly outcome: TurborepoOutcome;
};

/**
 * Reads a list of `{sessionId, source, event, hash, duration?}`. Unknown members are ignored.
 * @throws Fault "badRequest" on anything else.
 * @source Vercel REST API, "Record an artifacts cache usage event".
 */
export function parseEvents(body: Uint8Array): readonly TurborepoEvent[] {
  const refuse = refuseAs("Cannot read the events");
  const events = parseJson(body, refuse);
  if (!Array.isArray(events)) throw refuse("it is not a list");
  if (events.length > eventsMax) throw refuse(`it has more than ${eventsMax} entries`);
  return events.map((event, place) => readEvent(event, place, refuse));
}

function readEvent(event: unknown, place: number, refuse: RefuseJson): TurborepoEvent {
  if (!isJsonObject(event)) throw refuse(`its entry ${place} is not an object`);
  const outcome = turborepoOutcomes.find((one) => one === jsonMember(event, "event"));
  if (outcome === undefined) throw refuse(`"event" of its entry ${place} is not HIT or MISS`);
  const source = turborepoSources.find((one) => one === jsonMember(event, "source"));
  if (source === undefined) throw refuse(`"source" of its entry ${place} is not LOCAL or REMOTE`);
  for (const name of ["sessionId", "hash"]) {
    const text = jsonMember(event, name);
    const isShort = typeof text === "string" && text.length <= idBytesMax;
    if (!isShort) throw refuse(`"${name}" of its entry ${place} is not a short string`);
  }
  const duration = jsonMember(event, "duration") ?? 0;
  if (typeof duration !== "number" || duration < 0) {
    throw refuse(`"duration" of its entry ${place} is not a number of at least 0`);
  }
  return { source, outcome };
}

/**
 * Reads `{"hashes": [string, ...]}`.
 * @throws Fault "badRequest" on anything else, and on a hash that could not be the key of an artifact.
 * @source Vercel REST API, "Query information about an artifact".
 */
export function parseHashes(body: Uint8Array): readonly string[] {
  const refuse = refuseAs("Cannot read the query");
  const query = parseJson(body, refuse);
  const hashes = isJsonObject(query) ? jsonMember(query, "hashes") : undefined;
  if (!Array.isArray(hashes)) throw refuse(`it has no list "hashes"`);
  if (hashes.length > hashesMax) throw refuse(`it has more than ${hashesMax} hashes`);
  return hashes.map((hash, place) => {
    if (typeof hash !== "string") throw refuse(`its hash ${place} is not a string`);
    return checkId(hash, "the hash");
  });
}

function refuseAs(attempt: string): RefuseJson {
  return (reason, cause) => new Fault("badRequest", `${attempt}: ${reason}`, { cause });
}

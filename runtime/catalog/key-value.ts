import { Fault } from "../base/fault.ts";
import { checkId } from "./id.ts";
import { isJsonObject, jsonMember, parseJson } from "./json.ts";

/** The document of a key-value entry: a CAS id and the values recorded for it, in the order given. */
export type KeyValueDocument = {
  readonly casId: string;
  readonly values: readonly string[];
};

/**
 * Reads the body of a key-value PUT: `{"cas_id": string, "entries": [{"value": string}, ...]}`. Unknown members are
 * ignored, wherever they are. The caller has limited the size.
 * @throws Fault "badRequest" on anything else, and on JSON nested deeper than 32.
 */
export function parseKeyValue(body: Uint8Array): KeyValueDocument {
  const document = parseJson(body, bad);
  if (!isJsonObject(document)) throw bad("it is not an object");
  const casId = jsonMember(document, "cas_id");
  if (typeof casId !== "string") throw bad(`"cas_id" is not a string`);
  checkId(casId, `"cas_id"`);
  const entries = jsonMember(document, "entries");
  if (!Array.isArray(entries)) throw bad(`"entries" is not an array`);
  return { casId, values: entries.map(readEntry) };
}

/** The one form in which a document is stored and answered; the same document gives the same bytes. */
export function encodeKeyValue({ casId, values }: KeyValueDocument): Uint8Array {
  const entries = values.map((value) => ({ value }));
  return new TextEncoder().encode(JSON.stringify({ cas_id: casId, entries }));
}

function readEntry(entry: unknown, place: number): string {
  const value = isJsonObject(entry) ? jsonMember(entry, "value") : undefined;
  if (typeof value !== "string") throw bad(`"value" of entry ${place} is not a string`);
  return value;
}

function bad(reason: string, cause?: unknown): Fault {
  const message = `Cannot store the key-value document: ${reason}`;
  return new Fault("badRequest", message, cause === undefined ? {} : { cause });
}

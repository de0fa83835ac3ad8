import { Fault } from "../base/fault.ts";
import { idBytesMax } from "../base/limits.ts";
import { checkId } from "./id.ts";
import { isJsonObject, jsonMember, parseJson } from "./json.ts";

/** What a client calls a module; each is an id. */
export type ModuleName = {
  readonly category: string;
  readonly hash: string;
  readonly name: string;
};

/** The wish to end an upload: the parts in order, and the SHA-256 that they have together if it was declared. */
export type Completion = { readonly parts: readonly number[]; readonly sha256: Uint8Array | null };

/** Room for a hash and a name beside a long category; a record takes keys of 640 bytes. */
const keyBytesMax = idBytesMax + 128;
const partNumberMax = 2 ** 32 - 1;
const hexOfSha256 = /^[0-9a-f]{64}$/;

/**
 * The key of a module. None of its three parts has a slash, so no two names meet in one key.
 * @throws Fault "badRequest" when one of them is no id, or all together are too long.
 * @source surfaces.md 2.1 and 2.3.
 */
export function moduleKey({ category, hash, name }: ModuleName): string {
  checkId(category, "cache_category");
  checkId(hash, "hash");
  checkId(name, "name");
  const key = `${category}/${hash}/${name}`;
  const keyBytes = Buffer.byteLength(key);
  if (keyBytes <= keyBytesMax) return key;
  throw new Fault(
    "badRequest",
    `Cannot use cache_category, hash and name: ${keyBytes} bytes together exceed the limit of ${keyBytesMax}`,
  );
}

/** The number of a part, 0 to 2^32-1. @throws Fault "badRequest". */
export function parsePartNumber(text: string | null): number {
  const number = text !== null && /^\d+$/.test(text) ? Number(text) : -1;
  if (isPartNumber(number)) return number;
  throw new Fault(
    "badRequest",
    `Cannot read part_number: give a whole number up to ${partNumberMax}`,
  );
}

/**
 * Reads `{"parts": [number, ...], "checksum_sha256": "<64 lower-case hex digits>"}`; the checksum may be absent or null,
 * and unknown members are ignored. The caller has limited the size.
 * @throws Fault "badRequest" when it is no JSON or the checksum is no SHA-256, "unprocessable" on another shape.
 * @source surfaces.md 4.4.
 */
export function parseCompletion(body: Uint8Array): Completion {
  const document = parseJson(body, (reason, cause) => refuse("badRequest", reason, cause));
  if (!isJsonObject(document)) throw refuse("unprocessable", "it is not an object");
  const parts = jsonMember(document, "parts");
  if (!Array.isArray(parts) || !parts.every(isPartNumber)) {
    throw refuse("unprocessable", `"parts" is not an array of part numbers`);
  }
  return { parts, sha256: parseChecksum(jsonMember(document, "checksum_sha256") ?? null) };
}

function parseChecksum(value: unknown): Uint8Array | null {
  if (value === null) return null;
  if (typeof value !== "string") {
    throw refuse("unprocessable", `"checksum_sha256" is not a string`);
  }
  if (!hexOfSha256.test(value)) {
    throw refuse("badRequest", `"checksum_sha256" is not 64 lower-case hex digits`);
  }
  return new Uint8Array(Buffer.from(value, "hex"));
}

function isPartNumber(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= partNumberMax;
}

function refuse(code: "badRequest" | "unprocessable", reason: string, cause?: unknown): Fault {
  const message = `Cannot complete the upload: ${reason}`;
  return new Fault(code, message, cause === undefined ? {} : { cause });
}

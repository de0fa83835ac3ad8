import { assert } from "../../runtime/base/assert.ts";
import { xxHash3 } from "../../runtime/base/digest.ts";
import type { Outcome } from "./history.ts";
import type { Exchange, LoadRequest } from "./load-client.ts";

export const surfaces = ["xcode", "gradle", "nx", "metro", "keyvalue"] as const;
export type SurfaceName = (typeof surfaces)[number];

/** One artifact as the load knows it. Nx and Metro have one namespace each, named like them. */
export type LoadKey = {
  readonly surface: SurfaceName;
  readonly namespace: string;
  readonly index: number;
};

/** Identity of a body: xxHash3 in hex, a dash, the length in bytes. */
export type Value = string;

/** What a read found: a value, null for an honest miss, or a failure that says nothing about the artifact. */
export type Found =
  | { readonly at: "value"; readonly value: Value | null }
  | { readonly at: "failed"; readonly reason: string };

export function keyText(key: LoadKey): string {
  return `${key.surface}/${key.namespace}/${key.index}`;
}

/** The key behind its text. */
export function parseKeyText(text: string): LoadKey {
  const [surface, namespace, index] = text.split("/");
  const known = surfaces.find((name) => name === surface);
  assert(known !== undefined && namespace !== undefined, `${text} is the text of a key`);
  return { surface: known, namespace, index: Number(index) };
}

/** Hex, since Metro and Gradle keys are hex; it decodes to the text of the key. */
export function keyId(key: LoadKey): string {
  return Buffer.from(keyText(key)).toString("hex");
}

/** Bytes that follow from text and size alone: the same call gives the same content on every machine. */
export function makeContent(text: string, sizeBytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  let state = Number(xxHash3(Buffer.from(text)) & 0xffffffffn) || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, sizeBytes);
}

export function bodyValue(bytes: Uint8Array): Value {
  return `${xxHash3(bytes).toString(16)}-${bytes.length}`;
}

export type PutOptions = {
  readonly isChunked?: boolean;
  readonly cutAfterBytes?: number;
};

/** The request that stores `content` under the key, and the value that a later read of it must have. */
export function putRequest(
  key: LoadKey,
  content: Uint8Array,
  options: PutOptions = {},
): { request: LoadRequest; value: Value } {
  if (key.surface === "keyvalue") {
    const text = Buffer.from(content).toString("base64");
    const document = { cas_id: keyId(key), entries: [{ value: text }] };
    const body = new TextEncoder().encode(JSON.stringify(document));
    const target = `/api/cache/keyvalue?${query(key.namespace)}`;
    const request: LoadRequest = { method: "PUT", target, body, ...options };
    return { request, value: bodyValue(Buffer.from(text)) };
  }
  const method = key.surface === "xcode" ? "POST" : "PUT";
  const request: LoadRequest = { method, target: target(key), body: content, ...options };
  return { request, value: bodyValue(content) };
}

export function getRequest(key: LoadKey): LoadRequest {
  return { method: "GET", target: target(key) };
}

export function cleanRequest(namespace: string): LoadRequest {
  return { method: "DELETE", target: `/api/cache/clean?${query(namespace)}` };
}

/** What a change came to: a success, a failure, or no answer to a request that had left whole. */
export function outcomeOf(exchange: Exchange): Outcome {
  if (exchange.at === "lost") return exchange.isWholeSent ? "unknown" : "refused";
  return exchange.status >= 200 && exchange.status < 300 ? "acknowledged" : "refused";
}

/** Turns the answer to `getRequest` into what it says about the artifact. */
export function readFound(key: LoadKey, exchange: Exchange): Found {
  if (exchange.at === "lost") return { at: "failed", reason: exchange.reason };
  if (exchange.status === 404) return { at: "value", value: null };
  if (exchange.status !== 200) {
    const text = Buffer.from(exchange.body.subarray(0, 300)).toString();
    return { at: "failed", reason: `status ${exchange.status}: ${text}` };
  }
  if (key.surface !== "keyvalue") return { at: "value", value: bodyValue(exchange.body) };
  return { at: "value", value: keyValueOf(key, exchange.body) };
}

/** A document that does not parse, or names another key, has a value that nobody wrote. */
function keyValueOf(key: LoadKey, body: Uint8Array): Value {
  try {
    const document: unknown = JSON.parse(Buffer.from(body).toString());
    if (typeof document !== "object" || document === null) return "not-an-object";
    if (!("cas_id" in document) || document.cas_id !== keyId(key)) return "other-cas-id";
    if (!("entries" in document) || !Array.isArray(document.entries)) return "no-entries";
    if (document.entries.length !== 1) return `${document.entries.length}-entries`;
    return bodyValue(Buffer.from(String(document.entries[0]?.value)));
  } catch {
    return "not-json";
  }
}

function target(key: LoadKey): string {
  const id = keyId(key);
  switch (key.surface) {
    case "xcode":
      return `/api/cache/cas/${id}?${query(key.namespace)}`;
    case "gradle":
      return `/api/cache/gradle/${id}?${query(key.namespace)}`;
    case "keyvalue":
      return `/api/cache/keyvalue/${id}?${query(key.namespace)}`;
    case "nx":
      return `/v1/cache/${id}`;
    case "metro":
      return `/api/metro/cache/${id}`;
  }
}

function query(namespace: string): string {
  return `tenant_id=default&namespace_id=${namespace}`;
}

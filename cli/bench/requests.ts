import { sha256 } from "../../runtime/base/digest.ts";
import { type Operation, operations } from "./mix.ts";
import type { Addressing } from "./surfaces.ts";

/** Everything that the requests of one body size have in common. */
export type RequestShape = Addressing & {
  /** As it stands in the `Host` header. */
  readonly host: string;
  readonly tenant: string;
  readonly namespace: string;
  /** Lines of `Name: value`. */
  readonly headers: readonly string[];
  readonly seed: number;
  readonly bodyBytes: number;
  /** Tells the written keys of this run from those of every other, so that a put always stores something. */
  readonly run: string;
};

/** A request whose key is filled in at its places; the rest never changes. */
export type RequestTemplate = {
  readonly head: Buffer;
  /** Where the changing digits of the key begin. */
  readonly keyPlaces: readonly number[];
  readonly hasBody: boolean;
};

/** Digits of the key that tell artifacts apart; those before them tell key spaces apart. */
const indexDigits = 12;
const spaceDigits = 20;
const hexDigits = Buffer.from("0123456789abcdef");

const methods: Readonly<Record<Operation, "GET" | "HEAD" | null>> = {
  get: "GET",
  head: "HEAD",
  miss: "GET",
  // As the tool writes.
  put: null,
  fill: null,
};

/** The requests of every operation for one body size. */
export function makeTemplates(shape: RequestShape): Record<Operation, RequestTemplate> {
  const entries = operations.map((operation) => [operation, makeTemplate(shape, operation)]);
  return Object.fromEntries(entries) as Record<Operation, RequestTemplate>;
}

function makeTemplate(shape: RequestShape, operation: Operation): RequestTemplate {
  const method = methods[operation] ?? shape.writeMethod;
  const hasBody = method !== "GET" && method !== "HEAD";
  const emptyIndex = "0".repeat(indexDigits);
  const key = keySpace(shape, operation) + emptyIndex;
  const path = shape.pathTemplate
    .replaceAll("{tenant}", encodeURIComponent(shape.tenant))
    .replaceAll("{namespace}", encodeURIComponent(shape.namespace));
  const lines = [
    `${method} ${path.replaceAll("{key}", key)} HTTP/1.1`,
    `Host: ${shape.host}`,
    ...shape.headers,
    ...(hasBody
      ? ["Content-Type: application/octet-stream", `Content-Length: ${shape.bodyBytes}`]
      : []),
  ];
  const text = `${lines.join("\r\n")}\r\n\r\n`;
  const keyPlaces: number[] = [];
  for (let at = text.indexOf(key); at !== -1; at = text.indexOf(key, at + key.length)) {
    keyPlaces.push(at + spaceDigits);
  }
  return { head: Buffer.from(text, "latin1"), keyPlaces, hasBody };
}

/** `get`, `head` and `fill` share their keys over all runs with one seed; the others have keys of their own. */
function keySpace({ run, seed, bodyBytes }: RequestShape, operation: Operation): string {
  const name = operation === "put" ? `put/${run}` : operation === "miss" ? "miss" : "read";
  const hash = Buffer.from(sha256(`${name}/${seed}/${bodyBytes}`)).toString("hex");
  return hash.slice(0, spaceDigits);
}

/** Writes the digits of artifact `index` (0 to 2^48-1) at `place`. */
export function writeIndex(bytes: Buffer, place: number, index: number): void {
  let rest = index;
  for (let digit = indexDigits - 1; digit >= 0; digit--) {
    bytes[place + digit] = hexDigits[rest % 16]!;
    rest = Math.floor(rest / 16);
  }
}

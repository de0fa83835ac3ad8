import { sha256 } from "../../runtime/base/digest.ts";
import { type Exchange, type LoadRequest, openLoadConnection } from "./load-client.ts";
import { makeContent } from "./load-surface.ts";

/** One upload as a surface takes it, and where its body is read again. */
export type Upload = {
  readonly surface: string;
  readonly request: LoadRequest;
  readonly readAt: string;
  /** What a read brings. */
  readonly bytes: Uint8Array;
  /** Status of a refusal for want of space. */
  readonly refusedStatus: 507 | 403;
};

const scope = "tenant_id=default&namespace_id=full";

/** The same content under a new name on every surface of the HTTP port. */
export function everyUpload(name: string, sizeBytes: number): Upload[] {
  const body = makeContent(name, sizeBytes);
  const id = Buffer.from(name).toString("hex");
  const hash = Buffer.from(sha256(body)).toString("hex");
  const put = (surface: string, target: string): Upload => {
    const request = { method: surface === "xcode" ? "POST" : "PUT", target, body } as const;
    const refusedStatus = surface === "nx" ? 403 : 507;
    return { surface, request, readAt: target, bytes: body, refusedStatus };
  };
  return [
    put("xcode", `/api/cache/cas/${id}?${scope}`),
    put("gradle", `/api/cache/gradle/${id}?${scope}`),
    put("stock gradle", `/cache/default/stock/${id}`),
    put("nx", `/v1/cache/${id}`),
    put("metro", `/api/metro/cache/${id}`),
    put("turborepo", `/v8/artifacts/${id}?slug=full`),
    put("ccache", `/ccache/default/full/${id}`),
    put("bazel blob", `/full/cas/${hash}`),
    put("bazel action", `/full/ac/${hash}`),
    keyValue(id, body),
  ];
}

function keyValue(id: string, content: Uint8Array): Upload {
  const document = { cas_id: id, entries: [{ value: Buffer.from(content).toString("base64") }] };
  const body = new TextEncoder().encode(JSON.stringify(document));
  return {
    surface: "keyvalue",
    request: { method: "PUT", target: `/api/cache/keyvalue?${scope}`, body },
    readAt: `/api/cache/keyvalue/${id}?${scope}`,
    bytes: body,
    refusedStatus: 507,
  };
}

export type TimedAnswer = Extract<Exchange, { at: "answered" }> & { readonly ms: number };

/** One request on a connection of its own. */
export async function exchange(
  port: number,
  { request }: Pick<Upload, "request">,
): Promise<Exchange> {
  const connection = openLoadConnection(port);
  const ended = await connection.exchange(request);
  connection.close();
  return ended;
}

/** @throws when no answer came. */
export async function timedExchange(port: number, request: LoadRequest): Promise<TimedAnswer> {
  const startMs = performance.now();
  const ended = await exchange(port, { request });
  const ms = performance.now() - startMs;
  if (ended.at === "answered") return { ...ended, ms };
  throw new Error(`${request.method} ${request.target} got no answer: ${ended.reason}`);
}

/** The body there, or null for a miss. @throws for any other answer. */
export async function readBody(port: number, target: string): Promise<Uint8Array | null> {
  const { status, body } = await timedExchange(port, { method: "GET", target });
  if (status === 200) return body;
  if (status === 404) return null;
  throw new Error(`GET ${target} answered ${status}: ${Buffer.from(body).toString()}`);
}

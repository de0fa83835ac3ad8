/** A server that says yes to every write and knows nothing afterwards. */
export type ForgetfulServer = {
  /** Base without a slash at the end. */
  readonly url: string;
  /** Requests so far, such as `PUT /v1/cache/1`: shows that a client did speak to it. */
  readonly requests: readonly string[];
  [Symbol.asyncDispose](): Promise<void>;
};

/** What a spec may collect before it is wrong to go on: no client here sends more than a few hundred requests. */
const requestsMax = 100_000;

/**
 * Answers 200 to PUT and POST, 404 to everything else. A proof of hits that passes against it proves nothing, so each
 * client's spec runs its own assertions against it and expects them to fail.
 */
export function startForgetfulServer(): ForgetfulServer {
  const requests: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    maxRequestBodySize: 1024 * 1024 * 1024,
    async fetch(request) {
      if (requests.length >= requestsMax) return new Response("too many requests", { status: 429 });
      requests.push(`${request.method} ${new URL(request.url).pathname}`);
      if (request.method !== "PUT" && request.method !== "POST") {
        return new Response("forgotten", { status: 404 });
      }
      // Read to the end: an answer in the middle of an upload is a fault to some clients.
      await request.arrayBuffer();
      return new Response("", { status: 200 });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests,
    async [Symbol.asyncDispose]() {
      await server.stop(true);
    },
  };
}

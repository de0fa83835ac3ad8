import { Elysia } from "elysia";

/**
 * An Elysia app for routes that are asked a few times a second at most; the cache routes are written by hand, because
 * a router and its contexts cost more than they do (stack.md 2). The only file that knows Elysia.
 */
export type ColdApp = { handle: (request: Request) => Promise<Response> };

/** One route: the body is answered as JSON, or as it is when it is a Response. */
export type ColdRoute = {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly run: (request: ColdRequest) => unknown;
};

export type ColdRequest = { readonly url: URL };

/**
 * Faults of a route reach `onFault`; a path or method that no route has is `onUnknown`.
 */
export function createColdApp(
  routes: readonly ColdRoute[],
  on: { fault: (error: unknown) => Response; unknown: (request: Request) => Response },
): ColdApp {
  const app = new Elysia({ aot: true }).onError(({ code, error, request }) => {
    return code === "NOT_FOUND" ? on.unknown(request) : on.fault(error);
  });
  for (const { method, path, run } of routes) {
    app.route(method, path, async ({ request }) => {
      const answer = await run({ url: new URL(request.url) });
      return answer instanceof Response ? answer : Response.json(answer);
    });
  }
  return { handle: async (request) => app.fetch(request) };
}

import type { Config } from "../../config/table.ts";
import type { Log } from "../../observe/log.ts";

/**
 * The settings that the HTTP surface relies on, for the `Bun.serve` that carries it.
 * Our own limits answer with a body, so Bun's must never be met first: `maxRequestBodySize` is above every one of
 * them. Its error page would show source and paths.
 */
export function httpServeOptions(
  config: Config,
  log: Log,
): {
  readonly idleTimeout: number;
  readonly maxRequestBodySize: number;
  readonly development: false;
  readonly error: (error: Error) => Response;
} {
  return {
    idleTimeout: Math.ceil(config.httpIdleMsMax / 1_000),
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    development: false,
    error(error) {
      // Reached when a file of the store vanishes between our look and Bun's open.
      log.error("Bun could not send an answer", { error });
      const message = "The answer could not be sent: see the log of the node";
      return Response.json({ message }, { status: 500 });
    },
  };
}

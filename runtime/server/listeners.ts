import type { Server } from "bun";
import { Fault, systemCode } from "../base/fault.ts";
import { urlHost } from "../config/rows-node.ts";
import type { Config } from "../config/table.ts";

export type Handler = (request: Request, server: Server<undefined>) => Response | Promise<Response>;

/** What a surface asks of the server that carries it. */
export type ServeOptions = {
  readonly idleTimeout: number;
  readonly maxRequestBodySize: number;
  /** Bun's error page shows source and paths of this machine. */
  readonly development: false;
  readonly error: (error: Error) => Response;
};

/**
 * Binds the public HTTP port. Not shared: with `reusePort` a second node on the port would start and take half of
 * the requests (measured on Bun 1.4.5).
 * @throws Fault "portInUse" when somebody has it, "configuration" when the address is not this machine's.
 */
export function listenPublic(
  config: Config,
  options: ServeOptions,
  handle: Handler,
): Server<undefined> {
  try {
    const { bind: hostname, publicPort: port } = config;
    return Bun.serve({ ...options, hostname, port, reusePort: false, fetch: handle });
  } catch (error) {
    throw listenFault(`${urlHost(config.bind)}:${config.publicPort}`, error);
  }
}

/** Binds the admin socket, readable by this user alone from its first moment. */
export function listenAdmin(
  socketPath: string,
  options: ServeOptions,
  handle: Handler,
): Server<undefined> {
  // bind(2) makes the file with what the mask leaves: 0777 without 0177 is 0600.
  const mask = process.umask(0o177);
  try {
    // Bun gives a Unix socket no idle limit to set; its only clients are commands of this user.
    const { development, error, maxRequestBodySize } = options;
    return Bun.serve({ unix: socketPath, development, error, maxRequestBodySize, fetch: handle });
  } catch (error) {
    throw new Fault("dataDirectory", `Cannot listen on the admin socket ${socketPath}`, {
      cause: error,
    });
  } finally {
    process.umask(mask);
  }
}

function listenFault(address: string, cause: unknown): Fault {
  switch (systemCode(cause)) {
    case "EADDRINUSE":
      return new Fault(
        "portInUse",
        `Cannot listen on ${address}: the port is in use; stop what uses it or set KURA_PORT`,
        { cause },
      );
    case "EACCES":
      return new Fault(
        "configuration",
        `Cannot listen on ${address}: ports below 1024 need a privilege; set KURA_PORT`,
        { cause },
      );
    default: {
      const reason = cause instanceof Error ? cause.message : String(cause);
      return new Fault(
        "configuration",
        `Cannot listen on ${address}: ${reason}; KURA_BIND must be an address of this machine`,
        { cause },
      );
    }
  }
}

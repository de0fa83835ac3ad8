import type { Server } from "bun";
import type { Clock } from "../base/clock.ts";
import { Fault, systemCode } from "../base/fault.ts";
import { planRequests } from "../config/request-memory.ts";
import { urlHost } from "../config/rows-node.ts";
import { type Config, table } from "../config/table.ts";
import type { Log } from "../observe/log.ts";
import type { ConnectionLimit } from "../wire/connection-limit.ts";
import type { HttpHandler } from "../wire/http1/connection.ts";
import { type HttpListener, type ListenerOptions, listenHttp } from "../wire/http1/listener.ts";
import type { TlsPair } from "./tls-pair.ts";

export type AdminHandler = (
  request: Request,
  server: Server<undefined>,
) => Response | Promise<Response>;

/** What the public ports, plain and TLS, have in common. */
export type PublicSide = {
  readonly config: Config;
  readonly handler: HttpHandler;
  readonly clock: Clock;
  readonly limit: ConnectionLimit;
};

/**
 * Binds the public HTTP port. Not shared: with `reusePort` a second node on the port would start and take half of
 * the requests (measured on Bun 1.4.5).
 * @throws Fault "portInUse" when somebody has it, "configuration" when the address is not this machine's.
 */
export function listenPublic(side: PublicSide): HttpListener {
  const { config } = side;
  try {
    return listenHttp({ ...common(side), port: config.publicPort });
  } catch (error) {
    throw listenFault({ config, port: "publicPort" }, error);
  }
}

/**
 * Finds out whether the TLS port is free, and which one it is when any will do. It cannot be held until `listenTls`
 * takes it: a port that was bound without `reusePort` is not shared with one that is.
 * @throws Fault as `listenPublic`.
 */
export function probeTlsPort(side: PublicSide): number {
  const { config } = side;
  try {
    const probe = listenHttp({ ...common(side), port: config.httpsPort });
    // It was never given a turn of the loop, so nobody was accepted who would be cut off now.
    probe.stop(true);
    return probe.port;
  } catch (error) {
    throw listenFault({ config, port: "httpsPort" }, error);
  }
}

/**
 * Binds the TLS port, shared with the listener that it takes over from. Bun offers TLS 1.2 and 1.3 only.
 * @throws Fault as `listenPublic`, and "configuration" for a certificate or key that the TLS library refuses.
 */
export function listenTls(side: PublicSide, port: number, { cert, key }: TlsPair): HttpListener {
  const { config } = side;
  try {
    return listenHttp({ ...common(side), port, reusePort: true, tls: { cert, key } });
  } catch (error) {
    throw listenFault({ config, port: "httpsPort" }, error);
  }
}

function common({ config, handler, clock, limit }: PublicSide): Omit<ListenerOptions, "port"> {
  return {
    hostname: config.bind,
    handler,
    clock,
    limit,
    idleMsMax: config.httpIdleMsMax,
    bodyBytesMax: planRequests(config.uploadMemoryBytesMax).socketBytes,
  };
}

/**
 * Bun cuts who waits 10 s for an answer unless told; 255 is its most, and a census takes its time. Its types do not know
 * the option for Unix sockets, where `server.timeout` does nothing (Bun 1.4.5).
 */
const longAnswers: object = { idleTimeout: 255 };

/** Binds the admin socket, readable by this user alone from its first moment. */
export function listenAdmin(socketPath: string, handle: AdminHandler, log: Log): Server<undefined> {
  // bind(2) makes the file with what the mask leaves: 0777 without 0177 is 0600.
  const mask = process.umask(0o177);
  try {
    return Bun.serve({
      unix: socketPath,
      ...longAnswers,
      // Bun's error page shows source and paths of this machine.
      development: false,
      error(error) {
        log.error("an admin request failed", { error });
        const message = "The request failed inside Kura: see the log of the node";
        return Response.json({ message }, { status: 500 });
      },
      fetch: handle,
    });
  } catch (error) {
    throw new Fault("dataDirectory", `Cannot listen on the admin socket ${socketPath}`, {
      cause: error,
    });
  } finally {
    process.umask(mask);
  }
}

type Wanted = { readonly config: Config; readonly port: "publicPort" | "httpsPort" | "grpcPort" };

/** What a failed bind means, and what to do about it. */
export function listenFault({ config, port }: Wanted, cause: unknown): Fault {
  const address = `${urlHost(config.bind)}:${config[port]}`;
  const setting = table[port].name;
  const code = systemCode(cause);
  if (code?.startsWith("ERR_OSSL_") === true) {
    const [cert, key] =
      port === "grpcPort"
        ? [config.grpcTlsCertPath, config.grpcTlsKeyPath]
        : [config.publicTlsCertPath, config.publicTlsKeyPath];
    const what = `Cannot serve TLS with ${cert} and ${key}: ${code}`;
    return new Fault("configuration", what, { cause });
  }
  switch (code) {
    case "EADDRINUSE":
      return new Fault(
        "portInUse",
        `Cannot listen on ${address}: the port is in use; stop what uses it or set ${setting}`,
        { cause },
      );
    case "EACCES":
      return new Fault(
        "configuration",
        `Cannot listen on ${address}: ports below 1024 need a privilege; set ${setting}`,
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

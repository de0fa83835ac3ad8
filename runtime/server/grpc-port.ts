import { systemClock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { planRequests } from "../config/request-memory.ts";
import { table } from "../config/table.ts";
import { axis, CounterGrid } from "../observe/metrics-grid.ts";
import { receivedMessageBytesMax } from "../surface/grpc/limits.ts";
import type { ConnectionLimit } from "../wire/connection-limit.ts";
import type { GrpcListener } from "../wire/grpc/js-server.ts";
import type { GrpcHandler } from "../wire/grpc/method.ts";
import { listenOwnGrpc, type PlainAnswer } from "../wire/grpc/own-server.ts";
import { type ErrorCode, errorCodes } from "../wire/http2/failure.ts";
import type { Http2Listener } from "../wire/http2/listener.ts";
import { listenFault } from "./listeners.ts";
import type { TlsDeps } from "./public-tls.ts";
import { ReloadedTls, type TlsListener } from "./reloaded-tls.ts";
import type { TlsPair } from "./tls-pair.ts";

export type GrpcPortDeps = TlsDeps & {
  readonly handler: GrpcHandler;
  /** Answer to `GET /up`. */
  readonly up: () => PlainAnswer;
  readonly limit: ConnectionLimit;
};

/** The port of the Remote Execution API: in the clear or with TLS, by our own HTTP/2 or by grpc-js. */
export class GrpcPort {
  readonly #deps: GrpcPortDeps;
  readonly #cuts: CounterGrid;
  readonly #tls: ReloadedTls | null;
  #listener: GrpcListener | null = null;
  /** Of our own engine: more than one while a certificate is changed. */
  readonly #own = new Set<Http2Listener>();

  constructor(deps: GrpcPortDeps) {
    const { config, metrics } = deps;
    this.#deps = deps;
    this.#cuts = new CounterGrid(metrics.registry, {
      name: "kura_grpc_connections_cut_total",
      help: "Connections of the gRPC port that were ended because of what their client sent.",
      axes: [axis("reason", Object.keys(errorCodes).map(lowerSnake))],
    });
    const paths = {
      certPath: config.grpcTlsCertPath,
      keyPath: config.grpcTlsKeyPath,
      certSetting: table.grpcTlsCertPath.name,
      keySetting: table.grpcTlsKeyPath.name,
    };
    this.#tls = paths.certPath === "" ? null : new ReloadedTls({ ...deps, name: "grpc", paths });
  }

  /** Reads the certificate, if there is to be one. @throws Fault "configuration". */
  load(): void {
    this.#tls?.load();
  }

  /**
   * Binds the port. grpc-js is loaded only now: it takes longer than all else of a start.
   * @throws Fault "portInUse" or "configuration".
   */
  async listen(): Promise<void> {
    const { config } = this.#deps;
    try {
      if (config.grpcEngine === "grpc-js") await this.#listenGrpcJs();
      else if (this.#tls === null) this.#listener = this.#listenOwn(config.grpcPort, null);
      else this.#listenTls(this.#tls);
    } catch (error) {
      throw listenFault({ config, port: "grpcPort" }, bindError(error));
    }
  }

  /** Looks at the files of the certificate at once. */
  reload(): void {
    if (this.#deps.config.grpcEngine === "kura") {
      this.#tls?.reload();
    } else if (this.#tls !== null) {
      this.#deps.log.warn("grpc-js takes a changed certificate at its next start only");
    }
  }

  get port(): number {
    return this.#listener?.port ?? this.#tls?.port ?? 0;
  }

  get scheme(): "grpc" | "grpcs" {
    return this.#tls === null ? "grpc" : "grpcs";
  }

  /** Connections on which some of an answer has not gone out, though its call has ended. */
  get sendingCount(): number {
    let count = 0;
    for (const listener of this.#own) count += listener.sendingCount;
    return count;
  }

  /** Ends the listening; what is on its way ends first, or is cut when `isAtOnce`. */
  stop(isAtOnce: boolean): void {
    this.#listener?.stop(isAtOnce);
    this.#tls?.stop(isAtOnce);
  }

  /** Probes the port, which is shared from then on: a second listener takes over when the certificate changes. */
  #listenTls(tls: ReloadedTls): void {
    const probe = this.#listenOwn(this.#deps.config.grpcPort, null);
    probe.stop(true);
    this.#own.delete(probe);
    tls.begin((pair) => {
      const listener = this.#listenOwn(probe.port, pair);
      // The one before is retired only now.
      for (const old of [...this.#own].slice(0, -2)) {
        if (old.connectionCount === 0) this.#own.delete(old);
      }
      return asTlsListener(listener);
    });
  }

  #listenOwn(port: number, pair: TlsPair | null): Http2Listener {
    const { config, handler, up } = this.#deps;
    const plan = planRequests(config.uploadMemoryBytesMax);
    const listener = listenOwnGrpc({
      hostname: config.bind,
      port,
      handler,
      receivedMessageBytesMax,
      clock: systemClock,
      windowBytesMax: plan.messageBytes,
      messageBytesMax: plan.messageBytes,
      answerBytesMax: plan.answerBytes,
      onCut: (code) => this.#cuts.add(placeOf(code), 0, 0, 1),
      up,
      limit: this.#deps.limit,
      ...(pair === null ? {} : { tls: { cert: pair.cert, key: pair.key }, reusePort: true }),
    });
    this.#own.add(listener);
    return listener;
  }

  async #listenGrpcJs(): Promise<void> {
    const { config, handler } = this.#deps;
    const { listenGrpcJs } = await import("../wire/grpc/js-server.ts");
    this.#listener = await listenGrpcJs({
      hostname: config.bind,
      port: config.grpcPort,
      handler,
      receivedMessageBytesMax,
      tls: this.#tls?.pair ?? null,
    });
  }
}

function asTlsListener(listener: Http2Listener): TlsListener {
  return {
    port: listener.port,
    get pendingRequests() {
      return listener.streamCount;
    },
    get connectionCount() {
      return listener.connectionCount;
    },
    stop: (isAtOnce) => listener.stop(isAtOnce),
  };
}

const codes: readonly number[] = Object.values(errorCodes);

function placeOf(code: ErrorCode): number {
  return codes.indexOf(code);
}

/** `enhanceYourCalm` as enhance_your_calm. */
function lowerSnake(name: string): string {
  return name.replace(/[A-Z0-9]+/g, (letters) => `_${letters.toLowerCase()}`);
}

/** grpc-js puts the system's error into a text. */
function bindError(error: unknown): unknown {
  if (error instanceof Fault) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = ["EADDRINUSE", "EACCES"].find((name) => message.includes(name));
  return code === undefined ? error : Object.assign(new Error(message), { code });
}

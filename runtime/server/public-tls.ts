import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { type Config, table } from "../config/table.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { listenTls, type PublicSide, probeTlsPort } from "./listeners.ts";
import { ReloadedTls } from "./reloaded-tls.ts";

export type TlsDeps = {
  readonly config: Config;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
};

/** The public surface with TLS, beside the plain port. */
export class PublicTls extends ReloadedTls {
  constructor({ config, ...deps }: TlsDeps) {
    const paths = {
      certPath: config.publicTlsCertPath,
      keyPath: config.publicTlsKeyPath,
      certSetting: table.publicTlsCertPath.name,
      keySetting: table.publicTlsKeyPath.name,
    };
    super({ ...deps, name: "public", paths });
  }

  /**
   * Binds the port and begins to watch the files.
   * @throws Fault "portInUse" or "configuration".
   */
  listen(side: PublicSide): void {
    const port = probeTlsPort(side);
    this.begin((pair) => listenTls(side, port, pair));
  }
}

/** What a signal asks for. `drain` (SIGUSR1) keeps the process alive for probes, `stop` ends it after the drain. */
export type Wish = "drain" | "stop";

/** Signals that have arrived, in order, also those from before anybody listened. */
export interface Signals {
  /** Calls back for every wish, those of the past at once. At most one listener. */
  listen(take: (wish: Wish, name: string) => void): void;
  /**
   * Takes SIGHUP over, which until then ends the process when its terminal goes away, as `nohup` and users of a shell
   * expect. Only for a node that has something to reload.
   */
  onHangup(run: () => void): void;
}

const wishes = { SIGTERM: "stop", SIGINT: "stop", SIGUSR1: "drain" } as const;
const exitCodes = { SIGTERM: 143, SIGINT: 130, SIGUSR1: 0 } as const;

/**
 * Takes over SIGTERM, SIGINT and SIGUSR1 for the life of the process.
 * The second wish to stop ends the process at once, whatever it is doing: the store loses nothing by that.
 */
export function catchSignals(): Signals {
  const waiting: { wish: Wish; name: string }[] = [];
  let listener: ((wish: Wish, name: string) => void) | null = null;
  let isStopping = false;

  for (const name of Object.keys(wishes) as (keyof typeof wishes)[]) {
    process.on(name, () => {
      const wish = wishes[name];
      if (wish === "stop") {
        if (isStopping) process.exit(exitCodes[name]);
        isStopping = true;
      }
      if (listener !== null) listener(wish, name);
      // A wish that was already heard changes nothing, so three kinds are all that can wait.
      else if (!waiting.some((one) => one.wish === wish)) waiting.push({ wish, name });
    });
  }
  return {
    listen(take) {
      listener = take;
      for (const { wish, name } of waiting.splice(0)) take(wish, name);
    },
    onHangup(run) {
      process.on("SIGHUP", run);
    },
  };
}

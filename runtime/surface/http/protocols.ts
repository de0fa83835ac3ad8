import { bazel } from "./bazel.ts";
import { ccache } from "./ccache.ts";
import { namespaceClean } from "./clean.ts";
import type { Protocol } from "./exchange.ts";
import { defineRoute } from "./exchange.ts";
import { gradle } from "./gradle.ts";
import { keyValueEntries } from "./key-value.ts";
import { metro } from "./metro.ts";
import { modules } from "./module.ts";
import { nx } from "./nx.ts";
import { turborepo } from "./turborepo.ts";
import { xcode } from "./xcode.ts";

/** The dialects of cache clients, the most asked first. A new one is a file and a line here. */
export const cacheProtocols: readonly Protocol[] = [
  xcode,
  keyValueEntries,
  gradle,
  nx,
  metro,
  turborepo,
  modules,
  namespaceClean,
  ccache,
  // Takes any path before `/ac/` and `/cas/`, so all others come first.
  bazel,
];

/** Where requests are counted that no route fits. */
export const unmatched = defineRoute("/_unmatched", {});

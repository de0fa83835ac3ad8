import { version } from "../../package.json";

/** Put in by `scripts/build.ts`; absent when Kura runs from source. */
declare const KURA_BUILD_COMMIT: string | undefined;

/** What this program is: the version of package.json and the commit it was built from ("unknown" without git). */
export const buildInfo: { readonly version: string; readonly commit: string } = {
  version,
  commit: typeof KURA_BUILD_COMMIT === "string" ? KURA_BUILD_COMMIT : "source",
};

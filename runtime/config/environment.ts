import type { Environment } from "./setting.ts";

/** The environment as it was when the process began: later changes of `process.env` change no setting. */
export const processEnvironment: Environment = Object.freeze({ ...process.env });

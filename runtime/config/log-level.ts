/** From the most talkative to the least: a level lets itself and all after it through. */
export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

import { Fault, systemCode } from "../base/fault.ts";

/**
 * Translates an error of SQLite: "full" when its disk is, "damaged" when the file itself is corrupt, "unavailable" for
 * everything else.
 */
export function asIndexFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  const name = systemCode(error) ?? "";
  const text = error instanceof Error ? error.message : String(error);
  if (name === "SQLITE_FULL") {
    return new Fault("full", "The index has no room on its disk", { cause: error });
  }
  const isDamaged =
    name.startsWith("SQLITE_CORRUPT") ||
    name.startsWith("SQLITE_NOTADB") ||
    isSchemaWrong(name, text);
  if (isDamaged) return new Fault("damaged", `The index is damaged: ${text}`, { cause: error });
  return new Fault("unavailable", `The index cannot be used now: ${name} ${text}`, {
    cause: error,
  });
}

/** Our statements never change, so one that does not fit means that the text of the schema was damaged. */
function isSchemaWrong(name: string, text: string): boolean {
  return (
    name === "SQLITE_ERROR" && /no such|malformed|syntax error|has no column|columns but/.test(text)
  );
}

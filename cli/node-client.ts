import { Fault, type FaultCode, systemCode } from "../runtime/base/fault.ts";
import { realDisk } from "../runtime/base/real-disk.ts";
import { second } from "../runtime/base/units.ts";
import { findAdminSocket } from "../runtime/server/admin-socket.ts";

export type Answer = { readonly status: number; readonly text: string };

type Question = {
  readonly method: "GET" | "POST" | "DELETE";
  /** Path with query. */
  readonly path: string;
  /** How long the answer may take; half a minute unless told. */
  readonly withinMs?: number;
};

/** A node answers most admin routes from memory; half a minute covers a machine under load. */
const answerMsMax = 30 * second;
/** What a node answers is a page of figures; a megabyte is a mistake in the address. */
const answerCharsMax = 16 * 1_024 * 1_024;

/** Asks the node that runs in this data directory; null when there is none. */
export async function askNode(dataDir: string, question: Question): Promise<Answer | null> {
  const socketPath = findAdminSocket(realDisk, dataDir);
  try {
    return await ask(`http://kura${question.path}`, question, socketPath);
  } catch (error) {
    // No socket, or one that a killed node has left behind.
    if (isNobodyThere(error)) return null;
    throw unreachable(`the node of ${dataDir}`, error);
  }
}

/** Asks a node by its public address. @throws Fault "unavailable" when nobody answers there. */
export async function askUrl(baseUrl: string, question: Question): Promise<Answer> {
  try {
    return await ask(`${baseUrl}${question.path}`, question, null);
  } catch (error) {
    throw unreachable(baseUrl, error);
  }
}

/** Turns an answer that is no success into a Fault with the node's own words. */
export function requireSuccess(answer: Answer, what: string): void {
  if (answer.status >= 200 && answer.status < 300) return;
  throw new Fault(
    faultCodes[answer.status] ?? "internal",
    `Cannot ${what}: the node answered ${answer.status} ${messageOf(answer.text)}`.trimEnd(),
  );
}

const faultCodes: Readonly<Record<number, FaultCode>> = {
  400: "badRequest",
  401: "unauthorized",
  403: "forbidden",
  404: "missing",
  429: "overloaded",
  503: "unavailable",
  507: "full",
};

function messageOf(text: string): string {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && "message" in parsed) {
      return String(parsed.message);
    }
  } catch {
    // Not JSON: then the text is all there is to say.
  }
  return text.trim().split("\n")[0] ?? "";
}

async function ask(
  url: string,
  { method, withinMs = answerMsMax }: Question,
  socketPath: string | null,
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    redirect: "error",
    signal: AbortSignal.timeout(withinMs),
    ...(socketPath === null ? {} : { unix: socketPath }),
  });
  const text = await response.text();
  if (text.length > answerCharsMax) throw new Error(`an answer of ${text.length} characters`);
  return { status: response.status, text };
}

function isNobodyThere(error: unknown): boolean {
  return ["ENOENT", "ECONNREFUSED", "ConnectionRefused", "FailedToOpenSocket"].includes(
    systemCode(error) ?? "",
  );
}

function unreachable(where: string, cause: unknown): Fault {
  const reason = isNobodyThere(cause) ? "nobody listens there" : reasonOf(cause);
  return new Fault("unavailable", `Cannot reach ${where}: ${reason}`, { cause });
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

import type { Random } from "../../runtime/base/random.ts";
import type { Judge } from "./judge.ts";
import { openLoadConnection } from "./load-client.ts";
import { getRequest, parseKeyText, readFound, type Value } from "./load-surface.ts";

export type AuditOptions = {
  readonly port: number;
  readonly judge: Judge;
  /** The order of the reads: neighbours on disk are not read one after the other. */
  readonly random: Random;
};

const connectionCount = 32;
const failuresShown = 5;

/**
 * Reads every key that was ever written, refused ones too, and tells the judge what it holds. At rest every read must
 * say something: a read that fails is an error by itself.
 */
export async function auditKeys(options: AuditOptions): Promise<{ readCount: number }> {
  const { port, judge, random } = options;
  const found = await findKeys(port, judge, random);
  for (const { key, value } of found) judge.accept({ at: "audit", key, value });
  judge.accept({ at: "audited" });
  return { readCount: found.length };
}

/** What every key holds now, in no order. @throws when a read says nothing. */
export async function findKeys(
  port: number,
  judge: Judge,
  random: Random | null = null,
): Promise<{ key: string; value: Value | null }[]> {
  const texts = [...judge.keys()];
  if (random !== null) shuffle(texts, random);
  const all: { key: string; value: Value | null }[] = [];
  const failures: string[] = [];
  let next = 0;
  const readLoop = async (): Promise<void> => {
    const connection = openLoadConnection(port);
    for (let i = next++; i < texts.length; i = next++) {
      const text = texts[i]!;
      const key = parseKeyText(text);
      const found = readFound(key, await connection.exchange(getRequest(key)));
      if (found.at === "failed") failures.push(`${text}: ${found.reason}`);
      else all.push({ key: text, value: found.value });
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: connectionCount }, readLoop));
  if (failures.length === 0) return all;
  const shown = failures.slice(0, failuresShown).join("\n");
  throw new Error(`${failures.length} of ${texts.length} reads at rest failed:\n${shown}`);
}

/** Reads every key under way: what is open then may or may not be seen. @throws when a read says nothing. */
export async function readKeys(port: number, judge: Judge): Promise<void> {
  const connection = openLoadConnection(port);
  for (const text of [...judge.keys()]) {
    const op = judge.get(text);
    const key = parseKeyText(text);
    const found = readFound(key, await connection.exchange(getRequest(key)));
    if (found.at === "failed") throw new Error(`Reads do not go on: ${text}: ${found.reason}`);
    judge.accept({ at: "found", op, value: found.value });
  }
  connection.close();
}

function shuffle(texts: string[], random: Random): void {
  for (let i = texts.length - 1; i > 0; i--) {
    const other = random.below(i + 1);
    const text = texts[i]!;
    texts[i] = texts[other]!;
    texts[other] = text;
  }
}

/** Counters of the store since the node began. */
export type StoreCounters = { readonly groups: number; readonly commits: number };

/**
 * Reads the counters from `/metrics`.
 * @throws Error when a counter is not there: a group size of nothing must not pass for a measurement.
 */
export async function readStoreCounters(nodeUrl: string): Promise<StoreCounters> {
  const answer = await fetch(`${nodeUrl}/metrics`);
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`GET ${nodeUrl}/metrics answered ${answer.status}`);
  return {
    groups: sumOf(text, "kura_store_commit_groups_total"),
    commits: sumOf(text, "kura_store_commits_total"),
  };
}

/** Sum of a counter over its labels, in the text format of Prometheus. */
function sumOf(text: string, name: string): number {
  const lines = text
    .split("\n")
    .filter((line) => line.startsWith(name) && /^[ {]/.test(line.slice(name.length)));
  if (lines.length === 0) throw new Error(`The metrics of the node lack ${name}`);
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

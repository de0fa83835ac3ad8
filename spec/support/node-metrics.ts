/** Figures of a node by their names, label sets included, as its exposition has them. */
export type NodeMetrics = {
  /** @throws when there is no such figure. */
  of(name: string): number;
  /** The sum over all label sets; 0 when there is none. */
  sum(name: string): number;
  has(name: string): boolean;
};

/** `url`: of the HTTP port. */
export async function readMetrics(url: string): Promise<NodeMetrics> {
  const answer = await fetch(`${url}/metrics`);
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`/metrics answered ${answer.status}: ${text}`);
  const values = new Map<string, number>();
  for (const line of text.split("\n")) {
    const cut = line.lastIndexOf(" ");
    if (cut > 0 && !line.startsWith("#"))
      values.set(line.slice(0, cut), Number(line.slice(cut + 1)));
  }
  return {
    of(name) {
      const value = values.get(name);
      if (value === undefined) throw new Error(`The node has no figure ${name}`);
      return value;
    },
    sum(name) {
      let sum = 0;
      for (const [key, value] of values) {
        if (key === name || key.startsWith(`${name}{`)) sum += value;
      }
      return sum;
    },
    has: (name) => values.has(name),
  };
}

/** Missing from the types of Bun and Node, and there in both: `toString("latin1", start, end)` at half its cost. */
interface Buffer {
  latin1Slice(startBytes: number, endBytes: number): string;
}

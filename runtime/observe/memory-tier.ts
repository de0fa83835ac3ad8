/** How short of memory the node is. `constrained`: what is optional is shed. `critical`: writes are refused as well. */
export const memoryTiers = ["normal", "constrained", "critical"] as const;
export type MemoryTier = (typeof memoryTiers)[number];

/** Memory in use at which the tiers begin, in bytes. */
export type MemoryMarks = { readonly softBytes: number; readonly hardBytes: number };

/** A tier is left only below this share of the mark that it began at. @source storage-and-mesh.md 3.2. */
const leaveShare = 0.9;

/** The tier that follows `now` when so much is in use. */
export function nextTier(
  now: MemoryTier,
  usedBytes: number,
  { softBytes, hardBytes }: MemoryMarks,
): MemoryTier {
  if (usedBytes >= (now === "critical" ? leaveShare * hardBytes : hardBytes)) return "critical";
  return usedBytes >= (now === "normal" ? softBytes : leaveShare * softBytes)
    ? "constrained"
    : "normal";
}

/** What is left to caches of the memory that they were given. @source storage-and-mesh.md 3.2. */
export const cacheShares: Readonly<Record<MemoryTier, number>> = {
  normal: 1,
  constrained: 0.5,
  critical: 0,
};

export function isWorse(tier: MemoryTier, before: MemoryTier): boolean {
  return memoryTiers.indexOf(tier) > memoryTiers.indexOf(before);
}

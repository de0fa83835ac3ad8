import { expect, test } from "bun:test";
import { editDistance, nearestName } from "../../../../runtime/config/near-name.ts";

test("the distance counts insertions, deletions and replacements", () => {
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("kitten", "sitting")).toBe(3);
  expect(editDistance("same", "same")).toBe(0);
});

test("the nearest name wins, and a far one is no suggestion", () => {
  const names = ["KURA_PORT", "KURA_GRPC_PORT", "KURA_REGION"];
  expect(nearestName("KURA_PORTS", names)).toBe("KURA_PORT");
  expect(nearestName("KURA_GPRC_PORT", names)).toBe("KURA_GRPC_PORT");
  expect(nearestName("KURA_SOMETHING_ELSE", names)).toBeNull();
});

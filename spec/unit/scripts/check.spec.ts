import { expect, test } from "bun:test";
import { second } from "../../../runtime/base/units.ts";
import { checkFormat, checkTypes } from "../../../scripts/check.ts";

/** The compiler alone took 21 s on two busy cores without what it had learnt before. */
const checkMsMax = 300 * second;

test(
  "the compiler finds nothing in the tree",
  () => {
    const { isClean, output } = checkTypes();
    expect(output).toBe("");
    expect(isClean).toBe(true);
  },
  checkMsMax,
);

test(
  "the formatter and linter find nothing in the tree",
  () => {
    const { isClean, output } = checkFormat();
    expect(isClean, output).toBe(true);
  },
  checkMsMax,
);

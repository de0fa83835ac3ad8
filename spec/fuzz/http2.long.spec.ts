import { test } from "bun:test";
import { hour } from "../../runtime/base/units.ts";
import { fuzzHttp2 } from "../support/h2-fuzz-run.ts";

test(
  "a million sessions, blocks and messages crash nothing, hang nowhere and leave nothing behind",
  () => fuzzHttp2(1_000_000),
  2 * hour,
);

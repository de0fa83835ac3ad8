import { test } from "bun:test";
import { minute } from "../../runtime/base/units.ts";
import { fuzzHttp2 } from "../support/h2-fuzz-run.ts";

test(
  "20,000 sessions, blocks and messages crash nothing, hang nowhere and leave nothing behind",
  () => fuzzHttp2(20_000),
  5 * minute,
);

import { expect, test } from "bun:test";
import { checkPackages, packageChecks } from "../../../cli/packages.ts";

test("every package works from source", async () => {
  expect(await checkPackages()).toEqual(packageChecks.map(({ name }) => ({ name, at: "ok" })));
});

test("a broken package is named with its error, and those after it are still checked", async () => {
  const states = await checkPackages([
    { name: "one", exercise: () => Promise.reject(new Error("no such file")) },
    { name: "two", exercise: async () => {} },
  ]);
  expect(states).toEqual([
    { name: "one", at: "broken", error: "no such file" },
    { name: "two", at: "ok" },
  ]);
});

import { expect, test } from "bun:test";
import { exitCodes } from "../../../cli/exit-codes.ts";
import { version } from "../../../package.json";
import { kura } from "./run.ts";

const commands = [
  [],
  ["serve"],
  ["bench"],
  ["bench", "http"],
  ["clean"],
  ["inspect"],
  ["inspect", "store"],
  ["inspect", "config"],
  ["inspect", "artifact"],
  ["inspect", "segments"],
  ["inspect", "verify"],
  ["inspect", "rebuild"],
  ["inspect", "build"],
];

test.each(commands.map((command) => [command]))("--help of %j has an example", async (command) => {
  const run = await kura([...command, "--help"]);
  expect({ code: run.code, stderr: run.stderr }).toEqual({ code: 0, stderr: "" });
  expect(run.stdout).toContain(`Usage: kura${command.map((word) => ` ${word}`).join("")}`);
  expect(run.stdout).toMatch(/Examples?:\n {2}\S+.*kura|Examples?:\n {2}kura/);
});

test("--version prints the version of the package", async () => {
  expect(await kura(["--version"])).toEqual({ code: 0, stdout: `kura ${version}\n`, stderr: "" });
});

test("every exit code stands in the help", async () => {
  const { stdout } = await kura(["--help"]);
  for (const code of new Set(Object.values(exitCodes))) {
    expect(stdout).toMatch(new RegExp(`^  ${code} {2,}`, "m"));
  }
});

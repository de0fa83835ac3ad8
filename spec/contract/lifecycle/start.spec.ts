import { expect, test } from "bun:test";
import { startNode } from "../../support/node-process.ts";

test("serve prints the facts and client lines with its real address", async () => {
  await using node = await startNode({ env: { KURA_TENANT_ID: "acme" } });
  const printed = node.stdout();
  for (const part of [
    `listening  ${node.url}`,
    `data       ${node.dataDir}`,
    "capacity   ",
    `curl -X PUT --data-binary @FILE '${node.url}/api/cache/gradle/0123abcd?tenant_id=acme&namespace_id=demo'`,
    `url = '${node.url}/cache/acme/demo/'`,
    `NX_SELF_HOSTED_REMOTE_CACHE_SERVER=${node.url}`,
    `--remote_cache=${node.url}/demo`,
    `${node.url}/ccache/acme/demo`,
    `TURBO_API=${node.url}`,
    `endpoint: '${node.url}/api/metro/cache'`,
  ]) {
    expect(printed).toContain(part);
  }
});

test("the printed curl lines work as they stand", async () => {
  await using node = await startNode();
  const lines = node
    .stdout()
    .split("\n")
    .map((line) => line.replace(/^curl +/, "").trim());
  const [put, get] = lines.filter((line) => line.startsWith("curl "));
  const run = (line: string | undefined, file: string) => {
    const command = (line ?? "false").replace("FILE", "/etc/hostname").replace("COPY", file);
    return Bun.spawnSync(["sh", "-c", `${command} --silent --show-error --fail`], {
      stdout: "pipe",
    });
  };
  expect(run(put, "").exitCode).toBe(0);
  const got = run(get, "-");
  expect(got.exitCode).toBe(0);
  expect(got.stdout.toString()).toBe(await Bun.file("/etc/hostname").text());
});

test("every line of the log is one JSON object with time, level and message", async () => {
  await using node = await startNode({ env: { KURA_PROT: "1" } });
  expect(await node.stop()).toBe(0);
  const lines = node
    .stderr()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  for (const { time, level, message } of lines) {
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(["info", "warn"]).toContain(level);
    expect(message).not.toBe("");
  }
  const messages = lines.map(({ message }) => message);
  expect(messages).toContain("listening");
  expect(messages).toContain("ready");
  expect(JSON.stringify(lines)).toContain("did you mean KURA_PORT?");
});

import { expect, setDefaultTimeout, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { second } from "../../runtime/base/units.ts";
import { startTlsNode, type TlsNode } from "../contract/lifecycle/tls-node.ts";
import { installMsMax, requireProgram } from "../support/client-packages.ts";
import { coldThenWarm, expectAllServed, freshWord, type JudgedClient } from "./flow.ts";
import { makeMetroClient } from "./metro.ts";
import { makeNxClient } from "./nx.ts";
import { makeTurborepoClient } from "./turborepo.ts";

setDefaultTimeout(80 * second + installMsMax);

/** The authority of the node as a file, which clients are told to trust. */
function authorityFile({ pair, authority }: TlsNode): string {
  const file = path.join(pair.folder, "ca.pem");
  fs.writeFileSync(file, authority.cert);
  return file;
}

/**
 * Nx and Turborepo speak TLS in Rust, which reads SSL_CERT_FILE and nothing of Node's; Metro is the other way round
 * (all three tried both ways with these versions).
 */
test.each<[string, (word: string, caFile: string) => Promise<JudgedClient>]>([
  ["Nx", (word, caFile) => makeNxClient(word, { SSL_CERT_FILE: caFile })],
  ["Turborepo", (word, caFile) => makeTurborepoClient(word, { env: { SSL_CERT_FILE: caFile } })],
  ["Metro", (word, caFile) => makeMetroClient(word, { NODE_EXTRA_CA_CERTS: caFile })],
])(
  "%s takes everything over https, also with another certificate than it stored with",
  async (name, make) => {
    await using served = await startTlsNode();
    await using client = await make(freshWord(name), authorityFile(served));

    const builds = await coldThenWarm(client, served.url, async () => {
      served.pair.put(await served.authority.issue({ name: "second", isRsa: true }));
      await served.node.kill();
      await served.node.restart();
    });

    expect(await served.shownName()).toBe("second");
    expectAllServed(client.tasks, builds);
    expect(client.wrongOutputs()).toEqual([]);
  },
);

test("curl stores and fetches with --cacert and refuses without", async () => {
  await using served = await startTlsNode();
  const url = `https://localhost:${served.tlsPort}/api/cache/gradle/curl?tenant_id=default`;
  const file = path.join(served.pair.folder, "body.bin");
  fs.writeFileSync(file, crypto.getRandomValues(new Uint8Array(60_000)));
  const curl = (...args: string[]) => {
    const program = requireProgram("curl", "apt-get install curl");
    const command = [program, "--silent", "--show-error", "--fail", ...args, url];
    return Bun.spawnSync(command, { stdout: "pipe", stderr: "pipe" });
  };
  const trusting = ["--cacert", authorityFile(served)];

  expect(curl(...trusting, "--upload-file", file).exitCode).toBe(0);
  const got = curl(...trusting);
  const refused = curl();

  expect(got.exitCode).toBe(0);
  expect(got.stdout.equals(fs.readFileSync(file))).toBe(true);
  expect(refused.exitCode).toBe(60);
  expect(refused.stderr.toString()).toContain("certificate");
});

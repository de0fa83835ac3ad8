import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sha256 } from "../../../runtime/base/digest.ts";
import { Fault } from "../../../runtime/base/fault.ts";
import { KiB, MiB, second } from "../../../runtime/base/units.ts";
import { connect, head } from "../../support/raw-http.ts";
import {
  type ActionResultMessage,
  type DigestMessage,
  encodeActionResult,
  encodeTree,
  type TreeMessage,
} from "../../support/reapi-messages.ts";
import { eventually, type SpecServer, SteppedClock, startServer } from "../../support/server.ts";
import { patterned } from "./dialects.ts";
import { noFaults, withFaults } from "./faulty-store.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const instance = "/ios";
const hashOf = (body: Uint8Array | string): string => Buffer.from(sha256(body)).toString("hex");
const digestOf = (body: Uint8Array | string): DigestMessage => ({
  hash: hashOf(body),
  sizeBytes: Buffer.byteLength(body),
});
const ask = (target: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${server.url}${instance}${target}`, init);
const bytes = (body: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(body);
const putBlob = async (body: Uint8Array | string): Promise<void> => {
  const data = typeof body === "string" ? body : bytes(body);
  const stored = await ask(`/cas/${hashOf(body)}`, { method: "PUT", body: data });
  expect(stored.status).toBe(200);
};
const putResult = async (name: string, body: Uint8Array | string): Promise<void> => {
  const data = typeof body === "string" ? body : bytes(body);
  const stored = await ask(`/ac/${hashOf(name)}`, { method: "PUT", body: data });
  expect(stored.status).toBe(200);
};
const getResult = (name: string, init: RequestInit = {}): Promise<Response> =>
  ask(`/ac/${hashOf(name)}`, init);
const statusOf = async (name: string): Promise<number> => (await getResult(name)).status;
const incompletes = (own: SpecServer): Promise<number> =>
  own.metric(
    `kura_artifact_reads_total{producer="reapi",kind="actionResult",artifact_class="pointer",client="other",result="incomplete"}`,
  );

/** A result that names `missing` is a miss until that blob comes; then it comes back byte for byte. */
async function expectNeeds(
  name: string,
  message: ActionResultMessage,
  missing: string | Uint8Array,
) {
  const encoded = encodeActionResult(message);
  await putResult(name, encoded);
  const before = await incompletes(server);
  const refused = await getResult(name);
  expect([refused.status, refused.headers.get("content-type")]).toEqual([404, "application/json"]);
  expect(((await refused.json()) as { message: string }).message).toContain("not here");
  expect((await incompletes(server)) - before).toBe(1);
  expect((await getResult(name, { method: "HEAD" })).status).toBe(404);

  await putBlob(missing);
  const got = await getResult(name);
  expect(got.status).toBe(200);
  expect(got.headers.get("content-type")).toBe("application/octet-stream");
  expect(Buffer.from(await got.arrayBuffer()).equals(encoded)).toBe(true);
  expect((await getResult(name, { method: "HEAD" })).status).toBe(200);
}

describe("an action result is a miss until the blob is here that is its", () => {
  test("standard output", async () => {
    await expectNeeds("stdout", { stdoutDigest: digestOf("said") }, "said");
  });

  test("standard error", async () => {
    await expectNeeds("stderr", { stderrDigest: digestOf("warned") }, "warned");
  });

  test("output file, also the last of many", async () => {
    const names = Array.from({ length: 600 }, (_, i) => `file ${i}`);
    await Promise.all(names.slice(0, -1).map(putBlob));
    const outputFiles = names.map((name) => ({ path: name, digest: digestOf(name) }));
    await expectNeeds("files", { outputFiles, exitCode: 0 }, names.at(-1) ?? "");
  });

  test("output file inlined in it all the same", async () => {
    const contents = Buffer.from("inlined");
    const outputFiles = [{ path: "a", digest: digestOf(contents), contents }];
    await expectNeeds("inlined", { outputFiles }, contents);
  });

  test("tree", async () => {
    const tree = encodeTree({ root: {} });
    const outputDirectories = [{ path: "d", treeDigest: digestOf(tree) }];
    await expectNeeds("tree", { outputDirectories }, tree);
  });

  test("root directory", async () => {
    const root = Buffer.from("a directory message");
    const outputDirectories = [{ path: "d", rootDirectoryDigest: digestOf(root) }];
    await expectNeeds("root", { outputDirectories }, root);
  });

  const file = (name: string) => ({ name, digest: digestOf(name) });

  test.each<[string, TreeMessage]>([
    ["the root", { root: { files: [file("leaf in root")] } }],
    [
      "a child",
      { root: { files: [file("leaf")] }, children: [{}, { files: [file("leaf in child")] }] },
    ],
  ])("file in %s of a tree", async (where, message) => {
    await putBlob("leaf");
    const tree = encodeTree(message);
    await putBlob(tree);
    const outputDirectories = [{ path: "d", treeDigest: digestOf(tree) }];
    const leaf = where === "the root" ? "leaf in root" : "leaf in child";
    await expectNeeds(`leaf ${where}`, { outputDirectories }, leaf);
  });

  test.each([
    ["300 KiB, sent by the kernel", 300 * KiB],
    ["3 MiB, in a file of its own", 3 * MiB],
  ])("file in a tree of %s", async (_, sizeBytes) => {
    const last = `last of ${sizeBytes}`;
    const padding = Array.from({ length: 3 }, () => ({ name: "x".repeat(sizeBytes / 3) }));
    const tree = encodeTree({ root: {}, children: [{ files: padding }, { files: [file(last)] }] });
    await putBlob(tree);
    await expectNeeds(last, { outputDirectories: [{ treeDigest: digestOf(tree) }] }, last);
    expect(server.budget.usedBytes).toBe(0);
  });

  test("file, when the result itself has 2 MiB", async () => {
    const stdoutRaw = patterned(2 * MiB);
    await expectNeeds("long", { stdoutRaw, stdoutDigest: digestOf("long one") }, "long one");
    expect(server.budget.usedBytes).toBe(0);
  });

  test("file with another digest function than the action's", async () => {
    const hash = new Bun.CryptoHasher("sha1").update("by sha1").digest("hex");
    await putResult("sha1", encodeActionResult({ stdoutDigest: { hash, sizeBytes: 7 } }));
    expect(await statusOf("sha1")).toBe(404);
    await ask(`/cas/${hash}`, { method: "PUT", body: "by sha1" });
    expect(await statusOf("sha1")).toBe(200);
  });
});

describe("a blob that an action result names", () => {
  test("does not count with another size than the digest says", async () => {
    await putBlob("sized");
    const stdoutDigest = { ...digestOf("sized"), sizeBytes: 6 };
    await putResult("wrong size", encodeActionResult({ stdoutDigest }));
    expect(await statusOf("wrong size")).toBe(404);
    await putResult("wrong size", encodeActionResult({ stdoutDigest: digestOf("sized") }));
    expect(await statusOf("wrong size")).toBe(200);
  });

  test("does not count in another instance", async () => {
    await fetch(`${server.url}/other/cas/${hashOf("elsewhere")}`, {
      method: "PUT",
      body: "elsewhere",
    });
    await putResult("elsewhere", encodeActionResult({ stdoutDigest: digestOf("elsewhere") }));
    expect(await statusOf("elsewhere")).toBe(404);
  });

  test("is always there when it is the empty one, but not with a size", async () => {
    const outputFiles = [{ path: "empty", digest: digestOf("") }];
    const tree = encodeTree({
      root: { files: [{ name: "empty", digest: digestOf("") }, { name: "none" }] },
    });
    await putBlob(tree);
    const outputDirectories = [
      { path: "d", treeDigest: digestOf(tree) },
      { path: "e", treeDigest: digestOf("") },
    ];
    await putResult("empty", encodeActionResult({ outputFiles, outputDirectories }));
    expect(await statusOf("empty")).toBe(200);
    const sized = { ...digestOf(""), sizeBytes: 1 };
    await putResult("empty", encodeActionResult({ stdoutDigest: sized }));
    expect(await statusOf("empty")).toBe(404);
  });

  test("counts as a tree that names nothing when its bytes are no tree", async () => {
    await putBlob("\xff\xff\xff no tree");
    const treeDigest = digestOf("\xff\xff\xff no tree");
    await putResult("no tree", encodeActionResult({ outputDirectories: [{ treeDigest }] }));
    expect(await statusOf("no tree")).toBe(200);
  });

  test("is looked for at every request: a clean of the blobs takes the hit away", async () => {
    await using own = await startServer();
    const result = bytes(encodeActionResult({ stdoutDigest: digestOf("cleaned") }));
    const url = `${own.url}/ac/${hashOf("cleaned")}`;
    const put = async (): Promise<void> => {
      await fetch(`${own.url}/cas/${hashOf("cleaned")}`, { method: "PUT", body: "cleaned" });
    };
    await put();
    await fetch(url, { method: "PUT", body: result });
    expect((await fetch(url)).status).toBe(200);
    const clean = "/api/cache/clean?tenant_id=default&namespace_id=default";
    await fetch(`${own.url}${clean}`, { method: "DELETE" });
    await fetch(url, { method: "PUT", body: result });
    expect((await fetch(url)).status).toBe(404);
    await put();
    expect((await fetch(url)).status).toBe(200);
  });
});

describe("what lies under /ac/", () => {
  test.each<[string, Uint8Array | string]>([
    ["nothing", ""],
    [
      "moon's JSON",
      `{"hash":"${hashOf("a")}","outputFiles":[{"digest":{"hash":"${hashOf("b")}"}}]}`,
    ],
    ["a ccache entry", Buffer.from("cCrS\0\0\0\x01\x01 and more")],
    ["random bytes", patterned(5_000)],
    ["only unknown fields", Buffer.from([0xf8, 0x07, 0x05])],
    ["a cut result", encodeActionResult({ stdoutDigest: digestOf("never") }).subarray(0, 30)],
    ["a result with a hash in upper case", upperCaseResult()],
    ["a result that names no blob", encodeActionResult({ exitCode: 1, stdoutRaw: patterned(10) })],
    [
      "a result with symlinks only",
      encodeActionResult({ outputSymlinks: [{ path: "a", target: "b" }] }),
    ],
    ["2 MiB that are no result", Buffer.alloc(2 * MiB, 0xff)],
  ])("is sent as it came when it is %s", async (name, body) => {
    await putResult(name, body);
    const got = await getResult(name, { headers: { accept: "application/json" } });
    expect([got.status, got.headers.get("content-type")]).toEqual([
      200,
      "application/octet-stream",
    ]);
    expect(Buffer.from(await got.arrayBuffer()).equals(Buffer.from(body as Uint8Array))).toBe(true);
  });

  test("is replaced by every write, whatever its size", async () => {
    for (const [i, sizeBytes] of [10, 2 * MiB, 300 * KiB, 3 * MiB, 0, 100].entries()) {
      const body = Buffer.alloc(sizeBytes, 0xf0 + i);
      await putResult("replaced", body);
      const got = await getResult("replaced");
      expect(Buffer.from(await got.arrayBuffer()).equals(body)).toBe(true);
    }
  });

  test("is stored whatever type it was sent with", async () => {
    const headers = { "content-type": "application/json" };
    await ask(`/ac/${hashOf("typed")}`, { method: "PUT", body: "{}", headers });
    const got = await getResult("typed");
    expect(got.headers.get("content-type")).toBe("application/octet-stream");
  });

  test("may have 4 MiB and not a byte more", async () => {
    await putResult("most", Buffer.alloc(4 * MiB, 0xff));
    expect(await statusOf("most")).toBe(200);
    const body = Buffer.alloc(4 * MiB + 1, 0xff);
    const refused = await ask(`/ac/${hashOf("over")}`, { method: "PUT", body });
    expect(refused.status).toBe(413);
    await using connection = await connect(server.port);
    const line = `PUT ${instance}/ac/${hashOf("over")}`;
    await connection.send(head(line, "Transfer-Encoding: chunked"));
    await connection.send(`${body.length.toString(16)}\r\n`);
    await connection.send(body);
    await connection.send("\r\n0\r\n\r\n");
    expect((await connection.answer()).status).toBe(413);
    expect(await statusOf("over")).toBe(404);
  });

  test("is another artifact than the blob of the same hash", async () => {
    const hash = hashOf("same");
    await putBlob("same");
    expect((await ask(`/ac/${hash}`)).status).toBe(404);
    await ask(`/ac/${hash}`, { method: "PUT", body: "pointer" });
    expect(await (await ask(`/cas/${hash}`)).text()).toBe("same");
    expect(await (await ask(`/ac/${hash}`)).text()).toBe("pointer");
  });
});

test("a store that fails while a result is judged answers 503 and says nothing of its files", async () => {
  const faults = noFaults();
  await using own = await startServer({ inFront: (store) => withFaults(store, faults) });
  const url = `${own.url}/ac/${hashOf("judged")}`;
  const body = bytes(encodeActionResult({ stdoutDigest: digestOf("judged") }));
  await fetch(url, { method: "PUT", body });
  faults.open = new Fault("internal", "Cannot read /secret/0001.seg: EIO");
  const refused = await fetch(url);
  expect([refused.status, (await refused.text()).includes("secret")]).toEqual([503, false]);
  expect(own.life.httpInflight).toBe(0);
});

test("a result that needs more memory than there is waits, and is shed with 429", async () => {
  const clock = new SteppedClock();
  const env = { KURA_UPLOAD_MEMORY_BYTES: String(16 * MiB) };
  await using own = await startServer({ env, clock });
  const tree = bytes(encodeTree({ root: { files: [{ name: "x".repeat(2 * MiB) }] } }));
  const huge = bytes(encodeTree({ root: { files: [{ name: "x".repeat(9 * MiB) }] } }));
  const put = (path: string, body: Uint8Array<ArrayBuffer>): Promise<Response> =>
    fetch(`${own.url}${path}`, { method: "PUT", body });
  const resultOf = (one: Uint8Array) =>
    bytes(encodeActionResult({ outputDirectories: [{ treeDigest: digestOf(one) }] }));
  await put(`/cas/${hashOf(tree)}`, tree);
  await put(`/cas/${hashOf(huge)}`, huge);
  await put(`/ac/${hashOf("tree")}`, resultOf(tree));
  await put(`/ac/${hashOf("huge")}`, resultOf(huge));
  own.reads.tryTake(own.reads.limitBytes);
  const asked = fetch(`${own.url}/ac/${hashOf("tree")}`);
  await eventually("it waits", () => own.reads.waiting === 1);
  clock.step(5 * second);
  const shed = await asked;
  expect([shed.status, shed.headers.get("retry-after")]).toEqual([429, expect.any(String)]);
  own.reads.give(own.reads.limitBytes);
  expect((await fetch(`${own.url}/ac/${hashOf("tree")}`)).status).toBe(200);
  // What can never be looked through is never vouched for.
  expect((await fetch(`${own.url}/ac/${hashOf("huge")}`)).status).toBe(404);
  expect([own.reads.usedBytes, own.budget.usedBytes]).toEqual([0, 0]);
});

function upperCaseResult(): Uint8Array {
  const stdoutDigest = { hash: hashOf("upper").toUpperCase(), sizeBytes: 5 };
  return encodeActionResult({ stdoutDigest });
}

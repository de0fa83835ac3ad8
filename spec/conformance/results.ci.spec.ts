import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { seededRandom } from "../../runtime/base/random.ts";
import { MiB } from "../../runtime/base/units.ts";
import { grpcCodes } from "../../runtime/wire/grpc/status.ts";
import { type Digest, digestOf, ReapiClient } from "../support/reapi-client.ts";
import { encodeProto, type Fields } from "../support/reapi-protos.ts";
import { type Endpoint, judged, openEndpoint } from "./endpoint.ts";

/** Points of the conformance list about action results, trees, capabilities and headers. */
describe.each(judged)("%s", (engine) => {
  let endpoint: Endpoint;
  beforeAll(async () => {
    endpoint = await openEndpoint(engine);
  });
  afterAll(async () => {
    await endpoint[Symbol.asyncDispose]();
  });

  const random = seededRandom(22);
  const { invalidArgument, notFound, failedPrecondition, unimplemented } = grpcCodes;
  const newAction = (): Digest => digestOf(random.bytes(20));

  async function store(data: Uint8Array): Promise<Digest> {
    const digest = digestOf(data);
    const { hash, sizeBytes } = digest;
    const name = `${endpoint.instance}/uploads/u/blobs/${hash}/${sizeBytes}`;
    expect((await endpoint.client.write(name, data)).code).toBe(0);
    return digest;
  }

  async function update(actionDigest: Digest, actionResult: Fields | null) {
    return await endpoint.client.call("ActionCache/UpdateActionResult", {
      instanceName: endpoint.instance,
      actionDigest,
      ...(actionResult === null ? {} : { actionResult }),
    });
  }

  type Result = {
    readonly outputFiles: { path: string; digest: Digest; contents: Uint8Array }[];
    readonly stdoutRaw: Uint8Array;
    readonly stderrRaw: Uint8Array;
    readonly executionMetadata: { worker: string } | null;
    readonly outputSymlinks: { path: string; target: string }[];
    readonly outputFileSymlinks: { path: string; target: string }[];
    readonly exitCode: number;
  };

  async function get(actionDigest: Digest, inline: Fields = {}) {
    return await endpoint.client.call<Result>("ActionCache/GetActionResult", {
      instanceName: endpoint.instance,
      actionDigest,
      ...inline,
    });
  }

  describe("17: a result is a hit only with all that it names", () => {
    const file = random.bytes(30);
    const leaf = random.bytes(31);
    const child = encodeProto("Directory", { files: [{ name: "leaf", digest: digestOf(leaf) }] });
    const tree = encodeProto("Tree", {
      root: { directories: [{ name: "child", digest: digestOf(child) }] },
      children: [{ files: [{ name: "leaf", digest: digestOf(leaf) }] }],
    });
    const parts = { file, leaf, tree, stdout: random.bytes(32), stderr: random.bytes(33) };
    const result = {
      outputFiles: [{ path: "a", digest: digestOf(file) }],
      outputDirectories: [{ path: "d", treeDigest: digestOf(tree) }],
      stdoutDigest: digestOf(parts.stdout),
      stderrDigest: digestOf(parts.stderr),
    };

    test.each(Object.keys(parts) as (keyof typeof parts)[])(
      "without its %s it is none",
      async (gone) => {
        await using own = await openEndpoint(engine);
        const write = async (data: Uint8Array): Promise<void> => {
          const { hash, sizeBytes } = digestOf(data);
          await own.client.write(`${own.instance}/uploads/u/blobs/${hash}/${sizeBytes}`, data);
        };
        const request = { instanceName: own.instance, actionDigest: newAction() };
        for (const [name, data] of Object.entries(parts)) if (name !== gone) await write(data);
        const updated = await own.client.call("ActionCache/UpdateActionResult", {
          ...request,
          actionResult: result,
        });
        expect(updated.code).toBe(0);
        expect((await own.client.call("ActionCache/GetActionResult", request)).code).toBe(notFound);
        await write(parts[gone]);
        expect((await own.client.call("ActionCache/GetActionResult", request)).code).toBe(0);
      },
    );

    test("and one that was never stored is NOT_FOUND", async () => {
      expect((await get(newAction())).code).toBe(notFound);
    });
  });

  describe("18: inlining", () => {
    test("brings what was asked for, by exact path, and the digests all the same", async () => {
      const [one, two, out, err] = [40, 41, 42, 43].map((size) => random.bytes(size)) as [
        Uint8Array,
        Uint8Array,
        Uint8Array,
        Uint8Array,
      ];
      const digests = await Promise.all([one, two, out, err].map(store));
      const action = newAction();
      await update(action, {
        outputFiles: [
          { path: "one", digest: digests[0] },
          { path: "dir/two", digest: digests[1], isExecutable: true },
        ],
        stdoutDigest: digests[2],
        stderrDigest: digests[3],
      });
      const plain = (await get(action)).value;
      expect([plain.stdoutRaw.length, plain.stderrRaw.length]).toEqual([0, 0]);
      expect(plain.outputFiles.map(({ contents }) => contents.length)).toEqual([0, 0]);

      const inlined = (
        await get(action, {
          inlineStdout: true,
          inlineStderr: true,
          inlineOutputFiles: ["dir/two", "two", "dir"],
        })
      ).value;
      expect(Buffer.from(inlined.stdoutRaw)).toEqual(Buffer.from(out));
      expect(Buffer.from(inlined.stderrRaw)).toEqual(Buffer.from(err));
      expect<unknown>(inlined.outputFiles.map(({ path, digest }) => [path, digest])).toEqual([
        ["one", digests[0]],
        ["dir/two", digests[1]],
      ]);
      expect(inlined.outputFiles.map(({ contents }) => contents.length)).toEqual([0, 41]);
    });

    test("15: stops before the answer is larger than any client takes", async () => {
      const bodies = [3 * MiB, 2 * MiB].map((size) => random.bytes(size));
      const digests = await Promise.all(bodies.map(store));
      const action = newAction();
      const outputFiles = digests.map((digest, i) => ({ path: `f${i}`, digest }));
      await update(action, { outputFiles });
      const ended = await get(action, { inlineOutputFiles: ["f0", "f1"] });
      expect(ended.code).toBe(0);
      const lengths = ended.value.outputFiles.map(({ contents }) => contents.length);
      expect(lengths).toEqual([3 * MiB, 0]);
    });
  });

  describe("19: updating a result", () => {
    test("keeps symlinks of every kind, exit codes and raw output, and the later one wins", async () => {
      const action = newAction();
      const links = [{ path: "l", target: "t" }];
      const result = {
        exitCode: 3,
        stdoutRaw: Buffer.from("raw"),
        outputSymlinks: links,
        outputFileSymlinks: links,
        outputDirectorySymlinks: links,
        executionMetadata: { worker: "mine" },
      };
      expect((await update(action, { exitCode: 1 })).code).toBe(0);
      expect((await update(action, result)).value).toMatchObject(result);
      expect((await get(action)).value).toMatchObject(result);
    });

    test("keeps fields that nobody here knows", async () => {
      const action = newAction();
      const known = encodeProto("ActionResult", { exitCode: 5 });
      const unknown = Buffer.from([0xfa, 0x7f, 3, 1, 2, 3]);
      const request = Buffer.concat([
        encodeProto("UpdateActionResultRequest", {
          instanceName: endpoint.instance,
          actionDigest: action,
        }),
        Buffer.from([0x1a, known.length + unknown.length]),
        known,
        unknown,
      ]);
      const path = "/build.bazel.remote.execution.v2.ActionCache";
      expect((await endpoint.client.unary(`${path}/UpdateActionResult`, request)).code).toBe(0);
      const read = await endpoint.client.unary(
        `${path}/GetActionResult`,
        encodeProto("GetActionResultRequest", {
          instanceName: endpoint.instance,
          actionDigest: action,
        }),
      );
      expect(Buffer.from(read.value ?? []).includes(unknown)).toBe(true);
    });

    test("always says who executed it, since Buck2 wants to know", async () => {
      const action = newAction();
      await update(action, {});
      expect((await get(action)).value.executionMetadata?.worker).not.toBe("");
    });

    test("that is missing, has no digest or is too large is refused", async () => {
      expect((await update(newAction(), null)).code).toBe(invalidArgument);
      const { client, instance } = endpoint;
      const fields = { instanceName: instance, actionResult: { exitCode: 1 } };
      expect((await client.call("ActionCache/UpdateActionResult", fields)).code).toBe(
        invalidArgument,
      );
      const large = { stdoutRaw: random.bytes(4 * MiB) };
      expect((await update(newAction(), large)).code).toBe(failedPrecondition);
    });
  });

  describe("21: trees", () => {
    type Page = { readonly directories: Fields[]; readonly nextPageToken: string };

    async function getTree(rootDigest: Digest, more: Fields = {}) {
      const { decodeProto } = await import("../support/reapi-protos.ts");
      const ended = await endpoint.client.stream(
        "/build.bazel.remote.execution.v2.ContentAddressableStorage/GetTree",
        encodeProto("GetTreeRequest", { instanceName: endpoint.instance, rootDigest, ...more }),
      );
      const pages = ended.value.map((message) => decodeProto<Page>("GetTreeResponse", message));
      return { code: ended.code, pages };
    }

    test("are sent once for each directory, without those that are not here, in pages as asked", async () => {
      const shared = encodeProto("Directory", { files: [{ name: "shared" }] });
      const absent = encodeProto("Directory", { files: [{ name: "absent" }] });
      const digests = [await store(shared), digestOf(absent)];
      const left = encodeProto("Directory", {
        directories: [{ name: "s", digest: digests[0] }],
        files: [{ name: "left" }],
      });
      const right = encodeProto("Directory", {
        directories: [
          { name: "s", digest: digests[0] },
          { name: "a", digest: digests[1] },
        ],
        files: [{ name: "right" }],
      });
      const root = encodeProto("Directory", {
        directories: [
          { name: "l", digest: await store(left) },
          { name: "r", digest: await store(right) },
        ],
        files: [{ name: "root" }],
      });
      const rootDigest = await store(root);
      const names = (pages: readonly Page[]): unknown[] =>
        pages.flatMap(({ directories }) =>
          directories.map(({ files }) => (files as { name: string }[])[0]?.name),
        );

      const whole = await getTree(rootDigest);
      expect(names(whole.pages)).toEqual(["root", "left", "right", "shared"]);
      expect(whole.pages.at(-1)?.nextPageToken).toBe("");

      const paged: unknown[] = [];
      let pageToken = "";
      do {
        const { pages } = await getTree(rootDigest, { pageSize: 3, pageToken });
        expect(names(pages).length).toBeLessThanOrEqual(3);
        paged.push(...names(pages));
        pageToken = pages.at(-1)?.nextPageToken ?? "";
      } while (pageToken !== "");
      expect(paged).toEqual(["root", "left", "right", "shared"]);
    });

    test("without a root are NOT_FOUND", async () => {
      expect((await getTree(digestOf(random.bytes(9)))).code).toBe(notFound);
    });
  });

  test("22: capabilities say what is here, and nothing of execution", async () => {
    const ended = await endpoint.client.call<{
      cacheCapabilities: {
        digestFunctions: number[];
        actionCacheUpdateCapabilities: { updateEnabled: boolean };
        splitBlobSupport: boolean;
        spliceBlobSupport: boolean;
      };
      lowApiVersion: { major: number; minor: number };
      highApiVersion: { major: number; minor: number };
    }>("Capabilities/GetCapabilities", { instanceName: "a/b" });
    const { cacheCapabilities, lowApiVersion, highApiVersion } = ended.value;
    expect(cacheCapabilities.digestFunctions).toEqual([1, 2, 5, 6]);
    expect(cacheCapabilities.actionCacheUpdateCapabilities.updateEnabled).toBe(true);
    expect(lowApiVersion).toMatchObject({ major: 2, minor: 0 });
    expect(highApiVersion.minor).toBeGreaterThanOrEqual(3);
    const { splitBlobSupport, spliceBlobSupport } = cacheCapabilities;
    expect([splitBlobSupport, spliceBlobSupport]).toEqual([false, false]);
  });

  test("22: an instance whose name could not be told from a resource name is refused", async () => {
    for (const instanceName of ["a/blobs/b", "uploads", "compressed-blobs/zstd", "..", "a\\b"]) {
      const ended = await endpoint.client.call("Capabilities/GetCapabilities", { instanceName });
      expect(ended.code).toBe(invalidArgument);
    }
  });

  test("20, 27: splitting blobs and fetching assets are UNIMPLEMENTED", async () => {
    for (const path of [
      "/build.bazel.remote.execution.v2.ContentAddressableStorage/SplitBlob",
      "/build.bazel.remote.execution.v2.ContentAddressableStorage/SpliceBlob",
      "/build.bazel.remote.execution.v2.Execution/Execute",
      "/build.bazel.remote.asset.v1.Fetch/FetchBlob",
      "/some.other.Service/Method",
    ]) {
      expect((await endpoint.client.unary(path, new Uint8Array(0))).code).toBe(unimplemented);
    }
  });

  test("26: headers of any content fail no call", async () => {
    using client = new ReapiClient(endpoint.address, {
      "build.bazel.remote.execution.v2.requestmetadata-bin": "\u0000\u00ff junk",
      "resource-name": "anything",
      "x-kura-tenant-id": "someone",
    });
    const ended = await client.call("Capabilities/GetCapabilities", {
      instanceName: endpoint.instance,
    });
    expect(ended.code).toBe(0);
  });
});

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { digestFunctions, digestOf } from "../../../../../runtime/base/digest-function.ts";
import { parseActionResult } from "../../../../../runtime/wire/proto/action-result.ts";
import {
  type ActionResultMessage,
  type DigestMessage,
  decodeActionResult,
  encodeActionResult,
} from "../../../../support/reapi-messages.ts";
import { tier } from "../../../../support/tier.ts";
import { arbitraryDigest, damaged, readable } from "./arbitrary.ts";

const numRuns = { fast: 1_000, ci: 5_000, long: 300_000 }[tier()];

const hashOf = (text: string): string =>
  Buffer.from(digestOf("sha256", Buffer.from(text))).toString("hex");
const digest = (text: string): DigestMessage => ({ hash: hashOf(text), sizeBytes: text.length });
const parse = (message: ActionResultMessage) => parseActionResult(encodeActionResult(message));

const symlinks = fc.array(fc.record({ path: fc.string(), target: fc.string() }), { maxLength: 2 });
const bytes = fc.uint8Array({ maxLength: 40 });

const arbitraryResult: fc.Arbitrary<ActionResultMessage> = fc.record(
  {
    outputFiles: fc.array(
      fc.record(
        { path: fc.string(), digest: arbitraryDigest, isExecutable: fc.boolean(), contents: bytes },
        { requiredKeys: ["digest"] },
      ),
      { maxLength: 4 },
    ),
    outputDirectories: fc.array(
      fc.oneof(
        fc.record({ path: fc.string(), treeDigest: arbitraryDigest }),
        fc.record({ path: fc.string(), rootDirectoryDigest: arbitraryDigest }),
        fc.record({ treeDigest: arbitraryDigest, rootDirectoryDigest: arbitraryDigest }),
      ),
      { maxLength: 3 },
    ),
    exitCode: fc.integer(),
    stdoutRaw: bytes,
    stdoutDigest: arbitraryDigest,
    stderrRaw: bytes,
    stderrDigest: arbitraryDigest,
    executionMetadata: fc.record({ worker: fc.string() }),
    outputFileSymlinks: symlinks,
    outputDirectorySymlinks: symlinks,
    outputSymlinks: symlinks,
  },
  { requiredKeys: [] },
);

/** The digests of a message that protobufjs has read, in the form of our reader. */
function digestsOf(message: ActionResultMessage) {
  const plain = (one: DigestMessage | undefined) =>
    one === undefined || (one.hash ?? "") === "" ? [] : [`${one.hash}/${one.sizeBytes ?? 0}`];
  const { outputFiles = [], outputDirectories = [] } = message;
  return {
    files: outputFiles.flatMap((file) => plain(file.digest)),
    trees: outputDirectories.flatMap((directory) => plain(directory.treeDigest)),
    roots: outputDirectories.flatMap((directory) => plain(directory.rootDirectoryDigest)),
    stdout: plain(message.stdoutDigest),
    stderr: plain(message.stderrDigest),
    hasExecutionMetadata: message.executionMetadata !== undefined,
  };
}

function ours(result: NonNullable<ReturnType<typeof parseActionResult>>) {
  const plain = (one: { hash: string; sizeBytes: number }) => `${one.hash}/${one.sizeBytes}`;
  const { files, trees, roots, stdout, stderr, hasExecutionMetadata } = result;
  return {
    files: files.map(plain),
    trees: trees.map(plain),
    roots: roots.map(plain),
    stdout: stdout === null ? [] : [plain(stdout)],
    stderr: stderr === null ? [] : [plain(stderr)],
    hasExecutionMetadata,
  };
}

describe("an action result", () => {
  test("that another writer made is read as that writer reads it", () => {
    fc.assert(
      fc.property(arbitraryResult, (message) => {
        const encoded = encodeActionResult(message);
        const result = parseActionResult(encoded);
        if (result === null) {
          // Only what says nothing at all is no result.
          expect(encoded.length).toBe(0);
        } else {
          expect(ours(result)).toEqual(digestsOf(message));
        }
      }),
      { numRuns },
    );
  });

  // What names no blob is passed over unread, so a reader of all fields may refuse what ours takes.
  test("that was damaged is refused, or read as a reader of all fields reads it if it can", () => {
    fc.assert(
      fc.property(arbitraryResult, damaged, (message, damage) => {
        const broken = damage(encodeActionResult(message));
        const result = parseActionResult(broken);
        if (result === null) return;
        const second = readable(() => decodeActionResult(broken));
        if (second !== null) expect(ours(result)).toEqual(digestsOf(second));
      }),
      { numRuns },
    );
  });

  test("cut at any byte is refused, or holds the whole fields before the cut", () => {
    const whole = encodeActionResult({
      outputFiles: [{ path: "a", digest: digest("a") }],
      outputDirectories: [{ path: "d", treeDigest: digest("t"), rootDirectoryDigest: digest("r") }],
      stdoutDigest: digest("out"),
      stderrDigest: digest("err"),
      executionMetadata: { worker: "w" },
    });
    let parsed = 0;
    for (let end = 0; end <= whole.length; end++) {
      const result = parseActionResult(whole.subarray(0, end));
      if (result === null) continue;
      parsed += 1;
      expect(ours(result)).toEqual(digestsOf(decodeActionResult(whole.subarray(0, end))));
    }
    expect(parsed).toBe(5);
  });

  test("of any bytes never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300, size: "max" }), (random) => {
        parseActionResult(random);
      }),
      { numRuns },
    );
  });

  test("knows all digest functions by the length of their hashes", () => {
    for (const digestFunction of digestFunctions) {
      const hash = Buffer.from(digestOf(digestFunction, Buffer.from("x"))).toString("hex");
      const result = parse({ stdoutDigest: { hash, sizeBytes: 1 } });
      expect(result?.stdout).toEqual({ digestFunction, hash, sizeBytes: 1 });
    }
  });

  test("with fields that nobody knows is read past them", () => {
    const unknown = Buffer.from([
      0xf8, 0x07, 0x05, 0xfa, 0x07, 0x02, 0x61, 0x62, 0xfd, 0x07, 1, 2, 3, 4,
    ]);
    const known = encodeActionResult({ outputFiles: [{ path: "a", digest: digest("a") }] });
    const result = parseActionResult(Buffer.concat([unknown, known, unknown]));
    expect(result?.files).toHaveLength(1);
  });

  test("may say that it has no output, and a digest that is empty is one that is not set", () => {
    expect(parse({ exitCode: -1 })?.files).toEqual([]);
    expect(parse({ stdoutDigest: { hash: "", sizeBytes: 0 } })?.stdout).toBeNull();
  });
});

describe("bytes are no action result", () => {
  const upper = { hash: hashOf("a").toUpperCase(), sizeBytes: 1 };

  test.each<[string, Uint8Array]>([
    ["nothing", new Uint8Array(0)],
    ["only unknown fields", Buffer.from([0xf8, 0x07, 0x05])],
    ["JSON", Buffer.from(`{"hash":"${hashOf("a")}"}`)],
    ["a ccache entry", Buffer.from("cCrS\0\0\0\x01\x01abcdefg")],
    ["text", Buffer.from("some text")],
    ["a hash in upper case", encodeActionResult({ stdoutDigest: upper })],
    [
      "a hash of another length",
      encodeActionResult({ stdoutDigest: { hash: "ab", sizeBytes: 1 } }),
    ],
    ["a negative size", encodeActionResult({ stdoutDigest: { ...upper, sizeBytes: -1 } })],
    [
      "a size beyond 2^53-1",
      encodeActionResult({ stdoutDigest: { hash: hashOf("a"), sizeBytes: 2 ** 53 } }),
    ],
    ["a size without a hash", encodeActionResult({ stdoutDigest: { hash: "", sizeBytes: 5 } })],
    ["an output file without a digest", encodeActionResult({ outputFiles: [{ path: "a" }] })],
    ["an output directory without one", encodeActionResult({ outputDirectories: [{ path: "a" }] })],
    [
      "a digest given twice",
      Buffer.concat([
        encodeActionResult({ stdoutDigest: digest("a") }),
        encodeActionResult({ stdoutDigest: digest("b") }),
      ]),
    ],
    ["a known field of another type", Buffer.from([0x10, 0x01])],
    ["a group", Buffer.from([0x13, 0x14])],
    ["field zero", Buffer.from([0x02, 0x00])],
    ["a varint of eleven bytes", Buffer.from([0x20, ...new Array(10).fill(0xff), 0x01])],
    ["a length beyond the end", Buffer.from([0x12, 0x7f, 0x00])],
    ["a length of 2^60", Buffer.from([0x12, ...new Array(8).fill(0xff), 0x0f])],
    ["an inner length beyond its message", Buffer.from([0x12, 0x03, 0x12, 0x7f, 0x00, 0x20, 0x00])],
  ])("when they are %s", (_, none) => {
    expect(parseActionResult(none)).toBeNull();
  });

  test("but 4 MiB of the smallest fields are one, read within the time of a test", () => {
    const many = Buffer.alloc(4 * 1_024 * 1_024);
    for (let i = 0; i < many.length; i += 2) many.set([0x20, 0x01], i);
    expect(parseActionResult(many)?.files).toEqual([]);
  });
});

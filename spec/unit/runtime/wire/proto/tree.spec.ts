import { expect, test } from "bun:test";
import fc from "fast-check";
import { TreeFiles } from "../../../../../runtime/wire/proto/tree.ts";
import {
  type DirectoryMessage,
  decodeTree,
  encodeTree,
  type TreeMessage,
} from "../../../../support/reapi-messages.ts";
import { tier } from "../../../../support/tier.ts";
import { arbitraryDigest, damaged, readable } from "./arbitrary.ts";

const numRuns = { fast: 1_000, ci: 5_000, long: 300_000 }[tier()];

const directory: fc.Arbitrary<DirectoryMessage> = fc.record(
  {
    files: fc.array(
      fc.record({ name: fc.string(), digest: arbitraryDigest }, { requiredKeys: ["name"] }),
      { maxLength: 4 },
    ),
    directories: fc.array(fc.record({ name: fc.string(), digest: arbitraryDigest }), {
      maxLength: 3,
    }),
    symlinks: fc.array(fc.record({ name: fc.string(), target: fc.string() }), { maxLength: 2 }),
  },
  { requiredKeys: [] },
);

const tree: fc.Arbitrary<TreeMessage> = fc.record(
  { root: directory, children: fc.array(directory, { maxLength: 4 }) },
  { requiredKeys: [] },
);

function walk(bytes: Uint8Array): { files: string[]; isBroken: boolean } {
  const files = new TreeFiles(bytes);
  const found: string[] = [];
  for (let file = files.next(); file !== null; file = files.next()) {
    found.push(`${file.hash}/${file.sizeBytes}`);
  }
  return { files: found, isBroken: files.isBroken };
}

/** The same from a tree that protobufjs has read: only digests that are set. */
function filesOf({ root, children = [] }: TreeMessage): string[] {
  return [...(root === undefined ? [] : [root]), ...children].flatMap(({ files = [] }) =>
    files.flatMap(({ digest }) => {
      const { hash = "", sizeBytes = 0 } = digest ?? {};
      return hash === "" ? [] : [`${hash}/${sizeBytes}`];
    }),
  );
}

test("a tree names the files of its root and of all its children, and nothing else", () => {
  fc.assert(
    fc.property(tree, (message) => {
      expect(walk(encodeTree(message))).toEqual({ files: filesOf(message), isBroken: false });
    }),
    { numRuns },
  );
});

// What names no blob is passed over unread, so a reader of all fields may refuse what ours takes.
test("a damaged tree is broken, or read as a reader of all fields reads it if it can", () => {
  fc.assert(
    fc.property(tree, damaged, (message, damage) => {
      const bytes = damage(encodeTree(message));
      const { files, isBroken } = walk(bytes);
      const second = readable(() => decodeTree(bytes));
      if (!isBroken && second !== null)
        expect(files.toSorted()).toEqual(filesOf(second).toSorted());
    }),
    { numRuns },
  );
});

test("any bytes come to an end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300, size: "max" }), (bytes) => {
      walk(bytes);
    }),
    { numRuns },
  );
});

test("a hundred thousand empty directories and files without digests are walked without recursion", () => {
  const children = Array.from({ length: 100_000 }, () => ({ files: [{ name: "empty" }] }));
  expect(walk(encodeTree({ children }))).toEqual({ files: [], isBroken: false });
});

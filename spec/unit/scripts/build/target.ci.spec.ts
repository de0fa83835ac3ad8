import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { minute } from "../../../../runtime/base/units.ts";
import { checkIntegrity, type Target } from "../../../../scripts/build/target.ts";
import { binaryOf, root } from "../../../../scripts/build.ts";
import { makeTemporaryFolder } from "../../../support/node-process.ts";

/** The first build for a target fetches its Bun. */
setDefaultTimeout(10 * minute);

const built = new Set<Target>();
afterAll(() => {
  for (const target of built) fs.rmSync(binaryOf(target), { force: true });
});

function buildFor(target: Target): Buffer {
  built.add(target);
  const script = path.join(root, "scripts", "build.ts");
  const done = Bun.spawnSync([process.execPath, script, "--target", target], { stderr: "pipe" });
  expect({ code: done.exitCode, said: done.stderr.toString() }).toEqual({
    code: 0,
    said: expect.stringContaining(`Built dist/kura-${target}: `),
  });
  expect(fs.statSync(binaryOf(target)).mode & 0o111).toBe(0o111);
  return fs.readFileSync(binaryOf(target));
}

test("--target darwin-arm64 makes a Mach-O program for Apple's processors that holds all of Kura", () => {
  const binary = buildFor("darwin-arm64");
  expect(binary.subarray(0, 4).toString("hex")).toBe("cffaedfe");
  expect(binary.readUInt32LE(4)).toBe(cpuTypeArm64);
  expect(binary.readUInt32LE(12)).toBe(fileTypeExecutable);
  for (const text of ["KURA_PUBLIC_TLS_CERT_PATH", "maintenance-worker"]) {
    expect(binary.includes(text)).toBe(true);
  }
});

test("its signature fits every page, without which macOS kills it at the start", () => {
  const target = "darwin-arm64";
  const binary = built.has(target) ? fs.readFileSync(binaryOf(target)) : buildFor(target);
  const directory = codeDirectory(binary);
  const { codeBytes, pageBytes, hashes } = directory;
  expect(hashes.length).toBe(Math.ceil(codeBytes / pageBytes));
  expect(codeBytes).toBe(directory.signatureAtBytes);
  const wrong = hashes.filter((hash, page) => {
    const end = Math.min((page + 1) * pageBytes, codeBytes);
    const bytes = binary.subarray(page * pageBytes, end);
    return !createHash("sha256").update(bytes).digest().equals(hash);
  });
  expect(wrong.length).toBe(0);
});

test("--target linux-arm64 makes an ELF program for ARM", () => {
  const binary = buildFor("linux-arm64");
  expect(binary.subarray(0, 5).toString("hex")).toBe("7f454c4602");
  expect(binary.readUInt16LE(18)).toBe(elfMachineArm64);
});

test.each([
  [["--target"]],
  [["--target", "amiga"]],
  [["--target", "linux-x64", "more"]],
  [["--if-stale", "x"]],
])("the options %j are refused with the targets that there are", (args) => {
  const script = path.join(root, "scripts", "build.ts");
  const done = Bun.spawnSync([process.execPath, script, ...args], { stderr: "pipe" });
  expect(done.exitCode).toBe(64);
  expect(done.stderr.toString()).toContain("--target darwin-arm64|linux-arm64|linux-x64");
});

test("an archive with another checksum than the lock file's is refused", () => {
  const folder = makeTemporaryFolder("integrity");
  const file = path.join(folder, "bun.tgz");
  fs.writeFileSync(file, "not what was promised");
  const integrity = `sha512-${createHash("sha512").update("promised").digest("base64")}`;
  expect(() => checkIntegrity(file, integrity)).toThrow("package-lock.json promises");
  fs.writeFileSync(file, "promised");
  checkIntegrity(file, integrity);
  fs.rmSync(folder, { recursive: true });
});

/** @source mach/machine.h, mach-o/loader.h, elf.h */
const cpuTypeArm64 = 0x0100000c;
const fileTypeExecutable = 2;
const elfMachineArm64 = 0xb7;
const headerBytes = 32;
const loadCodeSignature = 0x1d;

/** @source xnu, osfmk/kern/cs_blobs.h */
const superBlobMagic = 0xfade0cc0;
const codeDirectoryMagic = 0xfade0c02;
const hashTypeSha256 = 2;

type CodeDirectory = {
  readonly signatureAtBytes: number;
  /** The first bytes of the file, which the hashes are of. */
  readonly codeBytes: number;
  readonly pageBytes: number;
  readonly hashes: readonly Buffer[];
};

function codeDirectory(binary: Buffer): CodeDirectory {
  const signatureAtBytes = findSignature(binary);
  const signature = binary.subarray(signatureAtBytes);
  expect(signature.readUInt32BE(0)).toBe(superBlobMagic);
  const directory = signature.subarray(signature.readUInt32BE(16));
  expect(directory.readUInt32BE(0)).toBe(codeDirectoryMagic);
  const [hashBytes, hashType] = [directory.readUInt8(36), directory.readUInt8(37)];
  expect([hashBytes, hashType]).toEqual([32, hashTypeSha256]);
  const firstBytes = directory.readUInt32BE(16);
  return {
    signatureAtBytes,
    codeBytes: directory.readUInt32BE(32),
    pageBytes: 2 ** directory.readUInt8(39),
    hashes: Array.from({ length: directory.readUInt32BE(28) }, (_, i) =>
      directory.subarray(firstBytes + i * hashBytes, firstBytes + (i + 1) * hashBytes),
    ),
  };
}

function findSignature(binary: Buffer): number {
  const commands = binary.readUInt32LE(16);
  let at = headerBytes;
  for (let i = 0; i < commands; i++) {
    if (binary.readUInt32LE(at) === loadCodeSignature) return binary.readUInt32LE(at + 8);
    at += binary.readUInt32LE(at + 4);
  }
  throw new Error("the program carries no signature");
}

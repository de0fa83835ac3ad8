import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { sha256 } from "../base/digest.ts";
import type { Disk } from "../base/disk.ts";
import { asFault, Fault, systemCode } from "../base/fault.ts";
import { KiB, second } from "../base/units.ts";

/** A chain of ten large certificates takes 20 KiB. */
const pemBytesMax = 512 * KiB;

/** Both files, and the settings that name them. */
export type PairPaths = {
  readonly certPath: string;
  readonly keyPath: string;
  readonly certSetting: string;
  readonly keySetting: string;
};

/** Texts of both files at one moment. Nothing is known about them yet. */
export type PairFiles = {
  readonly cert: string;
  readonly key: string;
  /** Differs when either text differs. */
  readonly fingerprint: string;
};

/** A certificate and the key that fits it. */
export type TlsPair = PairFiles & {
  /** Unix time of `notAfter`. */
  readonly expiresSeconds: number;
  /** Subject and alternative names, for the log. */
  readonly names: string;
  /** What is odd about it but no reason to refuse it; null when nothing is. */
  readonly doubt: string | null;
};

/**
 * Reads both files whole.
 * @throws Fault "configuration" that names the setting and the file.
 */
export function readPair(disk: Disk, paths: PairPaths): PairFiles {
  const { certPath, keyPath, certSetting, keySetting } = paths;
  const cert = readPem(disk, certSetting, certPath);
  const key = readPem(disk, keySetting, keyPath);
  const fingerprint = Buffer.from(sha256(Buffer.from(`${cert}\0${key}`))).toString("hex");
  return { cert, key, fingerprint };
}

function readPem(disk: Disk, setting: string, path: string): string {
  try {
    const file = disk.open(path, "read");
    if (file === null) throw bad(setting, path, "there is no such file");
    try {
      const buffer = new Uint8Array(Math.min(file.sizeBytes(), pemBytesMax) + 1);
      const length = file.read(buffer, 0);
      if (length > pemBytesMax) {
        throw bad(setting, path, `it has more than ${pemBytesMax} bytes, so it is no PEM file`);
      }
      return Buffer.from(buffer.subarray(0, length)).toString("latin1");
    } finally {
      file.close();
    }
  } catch (error) {
    const fault = asFault(error);
    if (fault.code === "configuration") throw fault;
    throw bad(setting, path, fault.message.replace(/^Cannot /, "cannot "), fault);
  }
}

/**
 * Finds out whether a server can be started with these files.
 * @throws Fault "configuration" for a text that is cut off or no PEM, a key with a passphrase, and a key of another
 * certificate.
 */
export function checkPair(files: PairFiles, paths: PairPaths, nowMs: number): TlsPair {
  const { certPath, keyPath, keySetting } = paths;
  const certificate = readCertificates(files.cert, paths);
  const key = readKey(files.key, paths);
  if (!certificate.checkPrivateKey(key)) {
    throw bad(
      keySetting,
      keyPath,
      `it is not the key of the first certificate in ${certPath}, which must be the server's own`,
    );
  }
  const expiresMs = certificate.validToDate.getTime();
  const names = [certificate.subject, certificate.subjectAltName].filter(Boolean).join("; ");
  const doubt = doubtOf(certificate, nowMs);
  return {
    ...files,
    expiresSeconds: Math.floor(expiresMs / second),
    names: names.replaceAll("\n", ", "),
    doubt,
  };
}

/** The first certificate of the file, once all of them were found to be whole. */
function readCertificates(
  text: string,
  { certSetting, certPath: path }: PairPaths,
): X509Certificate {
  const begun = text.match(/-----BEGIN CERTIFICATE-----/g)?.length ?? 0;
  const whole = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (begun === 0) throw bad(certSetting, path, "there is no PEM certificate in it");
  if (whole.length < begun) throw bad(certSetting, path, "a certificate in it is cut off");
  try {
    const [first] = whole.map((pem) => new X509Certificate(pem));
    if (first !== undefined) return first;
  } catch (cause) {
    throw bad(certSetting, path, "a certificate in it cannot be read", cause);
  }
  throw bad(certSetting, path, "there is no PEM certificate in it");
}

function readKey(text: string, { keySetting, keyPath: path }: PairPaths): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (cause) {
    if (systemCode(cause) === "ERR_MISSING_PASSPHRASE") {
      const reason =
        "it is protected by a passphrase, which nobody can type into a server: store the key without one, readable by the user of Kura alone";
      throw bad(keySetting, path, reason, cause);
    }
    throw bad(keySetting, path, "there is no PEM private key in it that is whole", cause);
  }
}

function doubtOf(certificate: X509Certificate, nowMs: number): string | null {
  if (certificate.validToDate.getTime() <= nowMs) {
    return `it expired on ${certificate.validTo}`;
  }
  if (certificate.validFromDate.getTime() > nowMs) {
    return `it is valid from ${certificate.validFrom} only`;
  }
  return null;
}

function bad(setting: string, path: string, reason: string, cause?: unknown): Fault {
  return new Fault("configuration", `Cannot use ${setting} ${path}: ${reason}`, { cause });
}

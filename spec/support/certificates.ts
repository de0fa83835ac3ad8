import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { hour } from "../../runtime/base/units.ts";

/** A certificate and its key as PEM texts. */
export type Credentials = { readonly cert: string; readonly key: string };

export type LeafOptions = {
  /** Common name; `localhost` and 127.0.0.1 are always among the alternative names. */
  readonly name: string;
  /** Unix time in milliseconds; an hour ago unless told. */
  readonly notBeforeMs?: number;
  /** In a day unless told. */
  readonly notAfterMs?: number;
  /** RSA in place of the P-256 that all others have. */
  readonly isRsa?: boolean;
};

/** A certificate authority of its own, which no machine trusts unless it is told to. */
export type Authority = {
  /** PEM, for `--cacert` and its like. */
  readonly cert: string;
  issue(options: LeafOptions): Promise<Credentials>;
  /** An authority below this one; what it issues carries the chain. */
  intermediate(name: string): Promise<Authority>;
};

const elliptic = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const rsa = {
  name: "RSASSA-PKCS1-v1_5",
  modulusLength: 2_048,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: "SHA-256",
};

type Issuer = { readonly subject: string; readonly keys: CryptoKeyPair; readonly chain: string };

export async function makeAuthority(name = "Spec CA"): Promise<Authority> {
  const keys = await makeKeys(elliptic);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity({}),
    name: `CN=${name}`,
    keys,
    signingAlgorithm: elliptic,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const cert = certificate.toString("pem");
  return authorityOf(cert, { subject: certificate.subject, keys, chain: "" });
}

function authorityOf(cert: string, issuer: Issuer): Authority {
  return {
    cert,
    issue: (options) => issue(issuer, options),
    async intermediate(name) {
      const keys = await makeKeys(elliptic);
      const certificate = await sign(issuer, keys, { name }, [
        new x509.BasicConstraintsExtension(true, undefined, true),
      ]);
      const pem = certificate.toString("pem");
      const chain = `\n${pem}${issuer.chain}`;
      return authorityOf(pem, { subject: certificate.subject, keys, chain });
    },
  };
}

async function issue(issuer: Issuer, options: LeafOptions): Promise<Credentials> {
  const keys = await makeKeys(options.isRsa === true ? rsa : elliptic);
  const certificate = await sign(issuer, keys, options, [
    new x509.BasicConstraintsExtension(false),
    new x509.SubjectAlternativeNameExtension([
      { type: "dns", value: "localhost" },
      { type: "ip", value: "127.0.0.1" },
    ]),
  ]);
  const exported = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    cert: `${certificate.toString("pem")}${issuer.chain}\n`,
    key: `${x509.PemConverter.encode(exported, "PRIVATE KEY")}\n`,
  };
}

function sign(
  issuer: Issuer,
  keys: CryptoKeyPair,
  options: LeafOptions,
  extensions: x509.Extension[],
): Promise<x509.X509Certificate> {
  return x509.X509CertificateGenerator.create({
    ...validity(options),
    subject: `CN=${options.name}`,
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: elliptic,
    extensions,
  });
}

function validity({ notBeforeMs, notAfterMs }: Omit<LeafOptions, "name">): {
  notBefore: Date;
  notAfter: Date;
} {
  const nowMs = Date.now();
  return {
    notBefore: new Date(notBeforeMs ?? nowMs - hour),
    notAfter: new Date(notAfterMs ?? nowMs + 24 * hour),
  };
}

async function makeKeys(algorithm: EcKeyGenParams | RsaHashedKeyGenParams): Promise<CryptoKeyPair> {
  return (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
}

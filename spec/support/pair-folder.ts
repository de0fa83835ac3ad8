import fs from "node:fs";
import path from "node:path";
import type { Credentials } from "./certificates.ts";
import { makeTemporaryFolder } from "./node-process.ts";

/** Files of a certificate and its key, in a folder of their own. */
export type PairFolder = Disposable & {
  readonly folder: string;
  readonly certPath: string;
  readonly keyPath: string;
  /** The settings that name both files. */
  readonly env: Readonly<Record<string, string>>;
  /** Writes both files. */
  put(pair: Credentials): void;
};

export function makePairFolder(): PairFolder {
  const folder = makeTemporaryFolder("tls");
  const [certPath, keyPath] = [path.join(folder, "cert.pem"), path.join(folder, "key.pem")];
  return {
    folder,
    certPath,
    keyPath,
    env: { KURA_PUBLIC_TLS_CERT_PATH: certPath, KURA_PUBLIC_TLS_KEY_PATH: keyPath },
    put({ cert, key }) {
      fs.writeFileSync(certPath, cert);
      fs.writeFileSync(keyPath, key);
    },
    [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}

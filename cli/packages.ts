/**
 * Every package Kura is built on, loaded and exercised. A bundler can make a binary in which a package is present but
 * does not work (a missing WASM file, a metadata polyfill that ran too late): only using it proves it.
 */
export type PackageCheck = {
  readonly name: string;
  /** Throws when the package does not do what Kura needs of it. */
  readonly exercise: () => Promise<void>;
};

export type PackageState =
  | { readonly name: string; readonly at: "ok" }
  | { readonly name: string; readonly at: "broken"; readonly error: string };

/** Runs the checks one after the other: each costs milliseconds, and a failure is easier to read. */
export async function checkPackages(
  checks: readonly PackageCheck[] = packageChecks,
): Promise<PackageState[]> {
  const states: PackageState[] = [];
  for (const { name, exercise } of checks) {
    try {
      await exercise();
      states.push({ name, at: "ok" });
    } catch (error) {
      states.push({
        name,
        at: "broken",
        error: error instanceof Error ? error.message : String(error),
      });
    }
  }
  return states;
}

export const packageChecks: readonly PackageCheck[] = [
  { name: "commander", exercise: parseWithCommander },
  { name: "@grpc/grpc-js", exercise: callOverGrpc },
  { name: "elysia", exercise: answerWithElysia },
  { name: "bun:sqlite", exercise: selectFromSqlite },
  { name: "protobufjs", exercise: encodeWithProtobuf },
  { name: "wasmoon", exercise: runLua },
  { name: "jose", exercise: signAndVerifyToken },
  { name: "@peculiar/x509", exercise: requestCertificate },
  { name: "prom-client", exercise: renderMetrics },
  { name: "ink", exercise: renderInk },
];

function expectEqual(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`${what}: expected ${expected}, got ${actual}`);
}

async function parseWithCommander(): Promise<void> {
  const { Command } = await import("commander");
  const command = new Command("kura").option("--port <port>");
  command.exitOverride().parse(["--port", "4000"], { from: "user" });
  expectEqual(command.opts().port, "4000", "parsed option");
}

/** One unary call over loopback: the server, the client and the HTTP/2 under both. */
async function callOverGrpc(): Promise<void> {
  const grpc = await import("@grpc/grpc-js");
  const same = (bytes: Buffer): Buffer => bytes;
  const path = "/kura.Check/Echo";
  const codec = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  const server = new grpc.Server();
  server.addService(
    { echo: { path, requestStream: false, responseStream: false, ...codec } },
    {
      echo: (call: { request: Buffer }, answer: (error: null, value: Buffer) => void) =>
        answer(null, call.request),
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  try {
    const reply = await new Promise<Buffer | undefined>((resolve, reject) => {
      client.makeUnaryRequest(path, same, same, Buffer.from("ping"), (error, value) =>
        error ? reject(error) : resolve(value),
      );
    });
    expectEqual(reply?.toString(), "ping", "echoed message");
  } finally {
    client.close();
    server.forceShutdown();
  }
}

async function answerWithElysia(): Promise<void> {
  const { Elysia } = await import("elysia");
  const app = new Elysia().get("/up/:node", ({ params }) => params.node).compile();
  const answer = await app.handle(new Request("http://localhost/up/n1"));
  expectEqual(await answer.text(), "n1", "answered body");
}

async function selectFromSqlite(): Promise<void> {
  const { Database } = await import("bun:sqlite");
  using database = new Database(":memory:");
  const row = database.query<{ one: number }, []>("SELECT 1 AS one").get();
  expectEqual(row?.one, 1, "selected value");
}

async function encodeWithProtobuf(): Promise<void> {
  const { default: protobuf } = await import("protobufjs");
  const text = 'syntax = "proto3"; message Digest { string hash = 1; int64 size_bytes = 2; }';
  const digest = protobuf.parse(text).root.lookupType("Digest");
  const bytes = digest.encode(digest.create({ hash: "ab", sizeBytes: 7 })).finish();
  expectEqual(Buffer.from(bytes).toString("hex"), "0a0261621007", "encoded message");
}

async function runLua(): Promise<void> {
  // Without the file import the binary would look for the WASM in the build machine's node_modules.
  const [{ LuaFactory }, { default: wasm }] = await Promise.all([
    import("wasmoon"),
    import("wasmoon/dist/glue.wasm", { with: { type: "file" } }),
  ]);
  const engine = await new LuaFactory(wasm).createEngine();
  try {
    expectEqual(await engine.doString("return string.rep('k', 2) .. #'ura'"), "kk3", "Lua result");
  } finally {
    engine.global.close();
  }
}

async function signAndVerifyToken(): Promise<void> {
  const { SignJWT, generateKeyPair, jwtVerify } = await import("jose");
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  const token = await new SignJWT({ scope: "read" })
    .setProtectedHeader({ alg: "ES256" })
    .sign(privateKey);
  const { payload } = await jwtVerify(token, publicKey);
  expectEqual(payload.scope, "read", "claim of the verified token");
}

async function requestCertificate(): Promise<void> {
  // x509's container needs the polyfill before its first class is defined.
  await import("reflect-metadata");
  const { Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator } = await import(
    "@peculiar/x509"
  );
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: "CN=node-1",
    keys,
    signingAlgorithm: algorithm,
  });
  const parsed = new Pkcs10CertificateRequest(request.toString("pem"));
  expectEqual(await parsed.verify(), true, "signature of the certificate request");
}

async function renderMetrics(): Promise<void> {
  const { Counter, Registry } = await import("prom-client");
  const registry = new Registry();
  new Counter({ name: "kura_checks_total", help: "Checks", registers: [registry] }).inc(2);
  const text = await registry.metrics();
  expectEqual(text.includes("kura_checks_total 2"), true, "counter in the rendered metrics");
}

async function renderInk(): Promise<void> {
  const [{ Text, renderToString }, { createElement }] = await Promise.all([
    import("ink"),
    import("react"),
  ]);
  expectEqual(renderToString(createElement(Text, null, "kura")), "kura", "rendered text");
}

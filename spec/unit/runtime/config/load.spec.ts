import { describe, expect, test } from "bun:test";
import { GiB, KiB, MiB } from "../../../../runtime/base/units.ts";
import { describeConfig } from "../../../../runtime/config/describe.ts";
import { entries, loadConfig } from "../../../../runtime/config/load.ts";
import type { Environment, Machine } from "../../../../runtime/config/setting.ts";
import { protectivePatterns } from "../../../../runtime/config/table.ts";

function machine(changes: Partial<Machine> = {}): Machine {
  return {
    descriptorLimit: 4_096,
    memoryLimitBytes: 4 * GiB,
    cpuCount: 4,
    hostName: "builder",
    fileSystemBytes: () => 100 * GiB,
    ...changes,
  };
}

function load(env: Environment, changes: Partial<Machine> = {}) {
  return loadConfig({ env, machine: machine(changes) });
}

describe("without any setting", () => {
  test("every value has a default and nothing is wrong", () => {
    const { config, problems, warnings } = load({});
    expect({ problems, warnings }).toEqual({ problems: [], warnings: [] });
    expect(config).toMatchObject({
      tenant: "default",
      region: "local",
      bind: "127.0.0.1",
      publicPort: 4_000,
      grpcPort: 50_051,
      internalPort: 7_443,
      nodeUrl: "http://127.0.0.1:7443",
      drainMsMax: 240_000,
      journalBodyBytesMax: MiB,
      keyValueBytesMax: MiB,
      xcodeBytesMax: 256 * MiB,
      gradleBytesMax: 100 * MiB,
    });
    expect(config.dataDir).toEndWith("/.kura");
    expect(config.tmpDir).toBe(`${config.dataDir}/tmp`);
    expect(Object.isFrozen(config)).toBe(true);
  });

  test("it works on the smallest and on the largest machine", () => {
    const small = { descriptorLimit: 256, memoryLimitBytes: 256 * MiB, cpuCount: 1 };
    const large = { descriptorLimit: 1_048_576, memoryLimitBytes: 2_048 * GiB, cpuCount: 256 };
    for (const changes of [small, large]) expect(load({}, changes).problems).toEqual([]);
  });
});

describe("derived values follow the limits of the machine", () => {
  test.each([
    // memory, soft, hard, manifest cache, upload memory, read cache
    [256 * MiB, 179 * MiB, 243 * MiB, (179 * MiB) / 16, 64 * MiB, 16 * MiB],
    [2 * GiB, 1_433 * MiB, 1_740 * MiB, 64 * MiB, 307 * MiB, 64 * MiB],
    [32 * GiB, 22_937 * MiB, 27_852 * MiB, 64 * MiB, 512 * MiB, 128 * MiB],
  ])("memory of %d bytes", (memoryLimitBytes, soft, hard, manifests, uploads, readCache) => {
    const { config } = load({}, { memoryLimitBytes });
    expect(config.memorySoftBytes).toBe(soft);
    expect(config.memoryHardBytes).toBe(hard);
    expect(config.manifestCacheBytesMax).toBe(manifests);
    expect(config.bodyCacheBytesMax).toBe(manifests);
    expect(config.uploadMemoryBytesMax).toBe(uploads);
    expect(config.indexReadCacheBytes).toBe(readCache);
    expect(config.indexWriteBufferPoolBytes).toBe(readCache);
    expect(config.indexWriteBufferBytes).toBe(readCache / 4);
    expect(config.indexWriteBuffersMax).toBe(4);
  });

  test.each([
    // limit, pool, handles, index
    [256, 64, 16, 128],
    [1_024, 112, 28, 448],
    [4_096, 256, 64, 1_024],
    [1_048_576, 256, 64, 1_024],
  ])("%d descriptors", (descriptorLimit, pool, handles, index) => {
    const { config } = load({}, { descriptorLimit });
    expect(config.descriptorPoolSize).toBe(pool);
    expect(config.segmentHandlesMax).toBe(handles);
    expect(config.indexOpenFilesMax).toBe(index);
  });

  test.each([
    [1, 1],
    [6, 6],
    [64, 8],
  ])("%d processors give %d jobs", (cpuCount, jobs) => {
    expect(load({}, { cpuCount }).config.indexJobsMax).toBe(jobs);
  });

  test("the hard limit stays 64 MiB above a soft limit that was set", () => {
    const { config } = load({ KURA_MEMORY_SOFT_LIMIT_BYTES: "4GiB" });
    expect(config.memoryHardBytes).toBe(4 * GiB + 64 * MiB);
  });

  test("the capacity is half of the file system, and a set one counts up to 80 % of it", () => {
    expect(load({}).config.capacityBytes).toBe(50 * GiB);
    expect(load({ KURA_CAS_CAPACITY_BYTES: "70GiB" }).config.capacityBytes).toBe(70 * GiB);
    const tooMuch = load({ KURA_CAS_CAPACITY_BYTES: "99GiB" });
    expect(tooMuch.config.capacityBytes).toBe(80 * GiB);
    expect(tooMuch.warnings).toHaveLength(1);
    expect(tooMuch.warnings[0]).toContain("more than 80 % of the file system");
  });

  test("the node URL follows address and peer port; a wildcard becomes the host name", () => {
    const wild = { KURA_BIND: "0.0.0.0", KURA_INSECURE_NO_AUTH: "1", KURA_INTERNAL_PORT: "7000" };
    expect(load(wild).config.nodeUrl).toBe("http://builder:7000");
    expect(load({ KURA_BIND: "::1" }).config.nodeUrl).toBe("http://[::1]:7443");
  });
});

describe("values are read as people write them", () => {
  test.each([
    ["4096", 4 * KiB],
    ["64KiB", 64 * KiB],
    ["2 MiB", 2 * MiB],
    ["1GiB", GiB],
  ])("%s is a size", (text, expected) => {
    expect(load({ KURA_MAX_KEYVALUE_BYTES: text }).config.keyValueBytesMax).toBe(expected);
  });

  test.each([
    ["1", true],
    ["true", true],
    ["TRUE", true],
    ["0", false],
    ["false", false],
  ])("%s is a yes or no", (text, expected) => {
    expect(load({ KURA_INSECURE_NO_AUTH: text }).config.insecureNoAuth).toBe(expected);
  });

  test("blank and auto count as not set", () => {
    const { config, sources } = load({ KURA_PORT: " ", KURA_MANIFEST_CACHE_MAX_BYTES: "auto" });
    expect(config.publicPort).toBe(4_000);
    expect(sources.publicPort).toBe("default");
    expect(sources.manifestCacheBytesMax).toBe("derived");
  });

  test("a flag beats the environment", () => {
    const { config, sources } = loadConfig({
      env: { KURA_PORT: "5000", KURA_REGION: "eu" },
      flags: { KURA_PORT: "6000" },
      machine: machine(),
    });
    expect([config.publicPort, sources.publicPort]).toEqual([6_000, "flag"]);
    expect([config.region, sources.region]).toEqual(["eu", "environment"]);
  });
});

describe("problems", () => {
  test("all are reported at once, each with setting, value and allowed range", () => {
    const { problems } = load({
      KURA_PORT: "70000",
      KURA_MAX_NX_BYTES: "5 cats",
      KURA_INSECURE_NO_AUTH: "perhaps",
      KURA_NODE_URL: "nowhere",
      KURA_DRAIN_COMPLETION_TIMEOUT_MS: "-1",
      KURA_ANALYTICS_SERVER_URL: "http://127.0.0.1:1",
    });
    const wanted = [
      ["KURA_PORT", '"70000"', "0 (any free port) to 65535"],
      ["KURA_NODE_URL", '"nowhere"', "http://"],
      ["KURA_INSECURE_NO_AUTH", '"perhaps"', "1, true, 0 or false"],
      ["KURA_DRAIN_COMPLETION_TIMEOUT_MS", '"-1"', "0 to 86400000"],
      ["KURA_MAX_NX_BYTES", '"5 cats"', "1 to 1 TiB"],
      ["KURA_ANALYTICS_SIGNING_KEY", "missing", "KURA_ANALYTICS_SERVER_URL"],
    ];
    expect(problems).toHaveLength(wanted.length);
    for (const [index, parts] of wanted.entries()) {
      for (const part of parts) expect(problems[index]).toContain(part);
    }
  });

  test.each<[string, Environment]>([
    [
      "must be more than KURA_MEMORY_SOFT",
      { KURA_MEMORY_SOFT_LIMIT_BYTES: "1GiB", KURA_MEMORY_HARD_LIMIT_BYTES: "1GiB" },
    ],
    [
      "must be less than KURA_MEMORY_SOFT",
      { KURA_MANIFEST_CACHE_MAX_BYTES: "2900MiB", KURA_MEMORY_HARD_LIMIT_BYTES: "4090MiB" },
    ],
    ["90 MiB that KURA_UPLOAD_MEMORY_BYTES (512 MiB)", { KURA_MAX_KEYVALUE_BYTES: "1GiB" }],
    [
      "KURA_UPLOAD_MEMORY_BYTES: 512 MiB must be at most the 100 MiB between",
      {
        KURA_MEMORY_SOFT_LIMIT_BYTES: "2900MiB",
        KURA_MEMORY_HARD_LIMIT_BYTES: "3000MiB",
        KURA_UPLOAD_MEMORY_BYTES: "512MiB",
      },
    ],
    ["together", { KURA_UPLOAD_MEMORY_BYTES: "4GiB" }],
    [
      "for the program and what waits for the disk, must be less than",
      { KURA_MEMORY_SOFT_LIMIT_BYTES: "80MiB", KURA_MEMORY_HARD_LIMIT_BYTES: "144MiB" },
    ],
    [
      "which the program itself takes",
      { KURA_MEMORY_SOFT_LIMIT_BYTES: "40MiB", KURA_MEMORY_HARD_LIMIT_BYTES: "1GiB" },
    ],
    ["auto, normal, constrained, critical", { KURA_MEMORY_PRESSURE_PIN: "high" }],
    [
      "must be less than KURA_FILE_DESCRIPTOR_POOL_SIZE",
      { KURA_FILE_DESCRIPTOR_POOL_SIZE: "64", KURA_SEGMENT_HANDLE_CACHE_SIZE: "64" },
    ],
    [
      "WRITE_BUFFER_POOL_BYTES",
      {
        KURA_METADATA_STORE_WRITE_BUFFER_POOL_BYTES: "1MiB",
        KURA_METADATA_STORE_WRITE_BUFFER_BYTES: "2MiB",
      },
    ],
    ["-1 (no limit) or 1 to", { KURA_METADATA_STORE_MAX_OPEN_FILES: "0" }],
    ["already the port of KURA_PORT", { KURA_PORT: "5000", KURA_GRPC_PORT: "5000" }],
    ["must be KURA_INTERNAL_PORT (7443)", { KURA_NODE_URL: "http://node:9999" }],
    ["promises TLS", { KURA_NODE_URL: "https://node:7443" }],
    ["switches off every certificate check", { NODE_TLS_REJECT_UNAUTHORIZED: "0" }],
    ["KURA_INSECURE_NO_AUTH=1", { KURA_BIND: "0.0.0.0" }],
    ["KURA_INSECURE_NO_AUTH=1", { KURA_BIND: "::" }],
  ])("%s", (words, env) => {
    const { problems } = load(env);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(words);
  });

  test("a port of a later version collides only when it was set", () => {
    expect(load({ KURA_PORT: "7443" }).problems).toEqual([]);
  });

  test("whoever asks for protection that this version lacks does not start unprotected", () => {
    const names = [
      "KURA_EXTENSION_ENABLED",
      "KURA_EXTENSION_SCRIPT_PATH",
      "KURA_AUTH_ENABLED",
      "KURA_AUTH_JWT_PUBLIC_KEY",
      "KURA_AUTH_SOMETHING_NEW",
      "KURA_PUBLIC_TLS_CA_CERT_PATH",
      "KURA_INTERNAL_TLS_CA_CERT_PATH",
      "KURA_GRPC_TLS_CA_CERT_PATH",
    ];
    for (const name of names) {
      const { problems } = load({ [name]: "1" });
      expect(problems).toEqual([expect.stringContaining(`${name}: this version cannot protect`)]);
    }
    const off = { KURA_EXTENSION_ENABLED: "false", KURA_AUTH_ENABLED: "0" };
    expect(load(off).problems).toEqual([]);
  });

  test("every protective setting of the table that this version has may be set", () => {
    const had = entries()
      .map(([, setting]) => setting)
      .filter(({ name }) => protectivePatterns.some((pattern) => pattern.test(name)))
      .filter(({ since }) => since === "now");
    expect(had.map(({ name }) => name)).toEqual([
      "KURA_PUBLIC_TLS_CERT_PATH",
      "KURA_PUBLIC_TLS_KEY_PATH",
      "KURA_GRPC_TLS_CERT_PATH",
      "KURA_GRPC_TLS_KEY_PATH",
    ]);
    const env = Object.fromEntries(had.map(({ name }) => [name, "/a/file.pem"]));
    expect(load(env)).toMatchObject({ problems: [], warnings: [] });
  });

  test.each([
    ["KURA_PUBLIC_TLS_CERT_PATH", "KURA_PUBLIC_TLS_KEY_PATH"],
    ["KURA_PUBLIC_TLS_KEY_PATH", "KURA_PUBLIC_TLS_CERT_PATH"],
    ["KURA_GRPC_TLS_CERT_PATH", "KURA_GRPC_TLS_KEY_PATH"],
    ["KURA_GRPC_TLS_KEY_PATH", "KURA_GRPC_TLS_CERT_PATH"],
  ])("%s without the other one is told", (present, missing) => {
    expect(load({ [present]: "/a/file.pem" }).problems).toEqual([
      `${missing}: missing; ${present} needs it`,
    ]);
  });

  test("the TLS port collides with another one only when it is opened", () => {
    expect(load({ KURA_PORT: "4443" }).problems).toEqual([]);
    const env = {
      KURA_PORT: "4443",
      KURA_PUBLIC_TLS_CERT_PATH: "/a/cert.pem",
      KURA_PUBLIC_TLS_KEY_PATH: "/a/key.pem",
    };
    expect(load(env).problems).toEqual(["KURA_HTTPS_PORT: 4443 is already the port of KURA_PORT"]);
  });
});

describe("warnings", () => {
  test.each<[string, Environment]>([
    ["did you mean KURA_PORT?", { KURA_PROT: "1" }],
    ["did you mean KURA_DATA_DIR?", { KURA_DATADIR: "x" }],
    ["did you mean KURA_MEMORY_SOFT_LIMIT_BYTES?", { KURA_MEMORY_SOFT_LIMIT: "1" }],
    ["`kura inspect config` lists them all", { KURA_COMPLETELY_DIFFERENT_THING_X: "1" }],
    ["known but this version does not use it yet", { KURA_PEERS: "http://127.0.0.1:1" }],
    ["is not opened without KURA_PUBLIC_TLS_CERT_PATH", { KURA_HTTPS_PORT: "4444" }],
    ["known but this version does not use it yet", { KURA_EXTENSION_SIGNER_A_SECRET: "x" }],
    ["belongs to the reference implementation", { KURA_TOKIO_WORKER_THREADS: "2" }],
    ["of memory found here", { KURA_MEMORY_HARD_LIMIT_BYTES: "1TiB" }],
  ])("%s", (words, env) => {
    const { problems, warnings } = load(env);
    expect(problems).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining(words)]);
  });

  test("names of other programs are left alone", () => {
    expect(load({ PATH: "x", KURATOR: "y", MY_KURA_PORT: "z" }).warnings).toEqual([]);
  });

  test("the seed's minimal start works, with a warning about the node URL", () => {
    const { problems, warnings } = load({
      KURA_PORT: "4000",
      KURA_TENANT_ID: "acme",
      KURA_REGION: "eu",
      KURA_DATA_DIR: "data",
      KURA_NODE_URL: "http://localhost:4000",
    });
    expect(problems).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining("names the public port")]);
  });

  test("an open node without authentication says so", () => {
    const { problems, warnings } = load({ KURA_BIND: "0.0.0.0", KURA_INSECURE_NO_AUTH: "1" });
    expect(problems).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining("everybody who reaches 0.0.0.0")]);
  });
});

describe("the listing", () => {
  test("has every setting once, with value, origin, unit, range and help", () => {
    const listed = describeConfig(load({ KURA_REGION: "eu" }));
    expect(new Set(listed.map(({ name }) => name)).size).toBe(listed.length);
    for (const entry of listed) {
      expect(entry.name).toMatch(/^KURA_[A-Z_]+$/);
      for (const text of [entry.value, entry.unit, entry.range, entry.help])
        expect(text).not.toBe("");
      expect(entry.help).toEndWith(".");
    }
    const find = (name: string) => listed.find((entry) => entry.name === name);
    expect(find("KURA_REGION")).toMatchObject({ value: "eu", source: "environment" });
    expect(find("KURA_MANIFEST_CACHE_MAX_BYTES")).toMatchObject({
      source: "derived",
      formula: "KURA_MEMORY_SOFT_LIMIT_BYTES / 16, in [8, 64] MiB",
    });
  });

  test("what it prints for a value can be set again", () => {
    const first = load({ KURA_BIND: "127.0.0.2", KURA_CAS_CAPACITY_BYTES: "1234567" });
    for (const [field, { kind, name }] of entries()) {
      const shown = kind.show(first.config[field]);
      if (["off", "none"].includes(shown)) continue;
      expect({ name, value: kind.parse(shown) }).toEqual({ name, value: first.config[field] });
    }
  });

  test("never shows a secret", () => {
    const loaded = load({
      KURA_ANALYTICS_SIGNING_KEY: "hunter2",
      KURA_ANALYTICS_SERVER_URL: "http://a",
    });
    expect(JSON.stringify({ ...loaded, listed: describeConfig(loaded) })).not.toContain("hunter2");
    expect(Bun.inspect(loaded, { depth: 9 })).not.toContain("hunter2");
  });
});

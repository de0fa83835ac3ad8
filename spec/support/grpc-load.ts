import { projectFolder } from "./node-process.ts";

export type GrpcLoad = {
  readonly sizes: string;
  readonly piece: string;
  readonly requests: number;
  readonly concurrency: number;
  readonly connections: number;
};

/** Writes blobs by byte stream with `kura bench`, and returns what it warns of: requests that failed, and why. */
export async function writeByGrpc(grpcUrl: string, load: GrpcLoad): Promise<string[]> {
  const { sizes, piece, requests, concurrency, connections } = load;
  const options = {
    url: grpcUrl,
    operations: "Write",
    sizes,
    piece,
    requests,
    concurrency,
    connections,
    "warm-up": "0s",
    verify: "none",
  };
  const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const command = ["dist/kura", "bench", "grpc", ...words, "--json"];
  const bench = Bun.spawn(command, { cwd: projectFolder, stdout: "pipe", stderr: "pipe" });
  const report: { warnings: string[] } = JSON.parse(await new Response(bench.stdout).text());
  return report.warnings.filter((warning) => warning.includes("failed"));
}

import { expect } from "bun:test";
import fs from "node:fs";
import http2 from "node:http2";
import path from "node:path";
import { type NodeProcess, startNode } from "../support/node-process.ts";

/** What can serve the gRPC port. */
export const grpcEngines = ["kura", "grpc-js"] as const;
export type GrpcEngine = (typeof grpcEngines)[number];

/** A node whose gRPC port is served by this engine, and seen to be. */
export async function startGrpcNode(
  engine: GrpcEngine,
  options: { dataDir?: string } = {},
): Promise<NodeProcess> {
  const node = await startNode({ ...options, env: { KURA_GRPC_ENGINE: engine } });
  // Only our own engine answers anything but gRPC.
  const expected = engine === "kura" ? 200 : 415;
  const status = await statusOfUp(node.grpcPort);
  if (status !== expected) await node[Symbol.asyncDispose]();
  expect(status, `status of /up by ${engine}`).toBe(expected);
  return node;
}

/** Status of `GET /up` over HTTP/2 in clear. */
function statusOfUp(port: number): Promise<number> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const status = new Promise<number>((resolve, reject) => {
    session.on("error", reject);
    const request = session.request({ ":path": "/up" });
    request.on("error", reject);
    request.on("response", (headers) => resolve(Number(headers[":status"])));
    request.resume();
    request.end();
  });
  return status.finally(() => session.destroy());
}

/** Calls that were answered with this code so far, by the method's name without its service; those without are left out. */
export async function callsOf(node: NodeProcess, code = "OK"): Promise<Record<string, number>> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  const calls: Record<string, number> = {};
  const line = /^kura_grpc_requests_total\{method="[^"]+\/(\w+)",code="(\w+)"\} (\d+)$/gm;
  for (const [, method = "", answered, count] of text.matchAll(line)) {
    if (answered === code && count !== "0") calls[method] = Number(count);
  }
  return calls;
}

/** Calls that failed, by method and code. To find nothing is no failure: a first build asks for results that nobody has. */
export async function failedCallsOf(node: NodeProcess): Promise<Record<string, number>> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  const calls: Record<string, number> = {};
  const line = /^kura_grpc_requests_total\{method="[^"]+\/(\w+)",code="(\w+)"\} (\d+)$/gm;
  for (const [, method = "", code = "", count] of text.matchAll(line)) {
    if (code !== "OK" && code !== "NOT_FOUND" && count !== "0")
      calls[`${method} ${code}`] = Number(count);
  }
  return calls;
}

/** Removes all bodies from the data directory of a stopped node; what it knows of them stays. */
export function removeBodies(dataDir: string): void {
  for (const folder of ["segments", "large"]) {
    for (const name of fs.readdirSync(path.join(dataDir, folder))) {
      fs.rmSync(path.join(dataDir, folder, name));
    }
  }
}

/** Removes everything from the data directory of a stopped node. */
export function removeAllOf(dataDir: string): void {
  for (const name of fs.readdirSync(dataDir))
    fs.rmSync(path.join(dataDir, name), { recursive: true });
}

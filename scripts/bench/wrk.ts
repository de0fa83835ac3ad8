import fs from "node:fs";
import path from "node:path";
import { minute } from "../../runtime/base/units.ts";
import { requireProgram } from "../../spec/support/client-packages.ts";
import { pinLoad } from "./pin.ts";

/** wrk ends at a time, not at a count: it is interrupted once the count is reached, or ends here. */
const loadMsMax = 2 * minute;
const enough = "ENOUGH";

export type Load = {
  port: number;
  connections: number;
  requests: number;
  /** Folder for the script and the body. */
  folder: string;
  ask:
    | { method: "PUT"; first: number; bodyBytes: number }
    | { method: "GET"; first: number; keys: number };
};

export type LoadResult = {
  readonly answers: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

/**
 * Sends about `requests` requests (those in flight at the end are cut) from the core of the load and returns what was
 * answered. PUT keys are unique; GET keys go round.
 * @throws Error when wrk is missing, or any answer is not 2xx, or a socket fails.
 */
export async function runLoad(load: Load): Promise<LoadResult> {
  const wrk = requireProgram("wrk", "apt-get install wrk");
  const script = path.join(load.folder, "load.lua");
  fs.writeFileSync(script, luaScript(load));
  const options = ["-t1", `-c${load.connections}`, `-d${loadMsMax / 1000}s`, "--timeout", "30s"];
  const child = Bun.spawn(
    [...pinLoad(), wrk, ...options, "-s", script, `http://127.0.0.1:${load.port}`],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: loadMsMax + minute },
  );
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    // Interrupted, wrk prints its summary as at the end of its time.
    readUntil(child.stderr, enough, () => child.kill("SIGINT")),
    child.exited,
  ]);
  const line = stdout.split("\n").find((text) => text.startsWith("RESULT "));
  if (code !== 0 || line === undefined) {
    throw new Error(`wrk ended with ${code} and said:\n${stdout}\n${stderr}`);
  }
  return readResult(line, load);
}

function readResult(line: string, load: Load): LoadResult {
  const numbers = line.slice("RESULT ".length).split(" ").map(Number);
  const [answers = 0, us = 0, p50Us = 0, p99Us = 0, wrongStatus = 0, socketErrors = 0] = numbers;
  if (wrongStatus > 0 || socketErrors > 0 || answers < load.requests / 2) {
    throw new Error(
      `The load of ${load.requests} ${load.ask.method} on port ${load.port} is no measurement: ${answers} answers, ${wrongStatus} not 2xx, ${socketErrors} socket errors`,
    );
  }
  return { answers, seconds: us / 1e6, p50Ms: p50Us / 1e3, p99Ms: p99Us / 1e3 };
}

/** Reads all of a stream and calls `found` once when the word has appeared. */
async function readUntil(
  stream: ReadableStream<Uint8Array>,
  word: string,
  found: () => void,
): Promise<string> {
  const reader = stream.getReader();
  let text = "";
  let isFound = false;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += Buffer.from(value).toString();
    if (isFound || !text.includes(word)) continue;
    isFound = true;
    found();
  }
}

/**
 * Requests go on between the count and the interrupt: their keys stay unique. wrk calls `request` once before it
 * begins, to see whether it works, so the second number is the first to be sent.
 */
function luaScript(load: Load): string {
  const { ask } = load;
  const put = `return wrk.format("PUT", "/v1/cache/" .. (${ask.first} + sent), headers, body)`;
  const keys = ask.method === "GET" ? ask.keys : 1;
  const get = `return wrk.format("GET", "/v1/cache/" .. (${ask.first} + sent % ${keys}))`;
  return `
local sent = 0
local headers = { ["content-type"] = "application/octet-stream" }
local body = string.rep("k", ${ask.method === "PUT" ? ask.bodyBytes : 0})
request = function()
  sent = sent + 1
  if sent == ${load.requests} then io.stderr:write("${enough}\\n") end
  ${ask.method === "PUT" ? put : get}
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
`;
}

// A build with modules in the manner of Tuist: a module that is in the local cache is taken from there, one that the
// server has is downloaded, and any other is built and uploaded in parts, in the sequence of the reference's own test.
// Usage: module-build.mjs SERVER PROJECT. Ends with a line "MODULES {json}".
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";

const partBytes = 1024 * 1024;
const [server, project] = process.argv.slice(2);
const counts = { local: 0, hits: 0, misses: 0, uploaded: 0, errors: [] };

for (const file of fs.readdirSync(path.join(project, "src")).sort()) {
  const name = path.basename(file, ".swift");
  const source = fs.readFileSync(path.join(project, "src", file));
  const hash = crypto.createHash("md5").update(source).digest("hex");
  const local = path.join(project, "local-cache", hash);
  const framework = await take(name, hash, source, local);
  fs.mkdirSync(path.dirname(local), { recursive: true });
  fs.writeFileSync(local, framework);
  fs.mkdirSync(path.join(project, "build"), { recursive: true });
  fs.writeFileSync(path.join(project, "build", `${name}.framework`), framework);
}
console.log(`MODULES ${JSON.stringify(counts)}`);

async function take(name, hash, source, local) {
  if (fs.existsSync(local)) {
    counts.local += 1;
    return fs.readFileSync(local);
  }
  const downloaded = await download(name, hash);
  if (downloaded !== null) {
    counts.hits += 1;
    return downloaded;
  }
  counts.misses += 1;
  const framework = compile(name, source);
  await upload(name, hash, framework).catch((error) => counts.errors.push(String(error)));
  return framework;
}

/** Each compilation holds chance, so that equal outputs can only come from a cache. */
function compile(name, source) {
  const sizeBytes = name === "Large" ? 5 * partBytes + 12_345 : 40_000;
  return Buffer.concat([source, crypto.randomBytes(sizeBytes)]);
}

function queryOf(name, hash) {
  return new URLSearchParams({
    account_handle: "Acme",
    project_handle: "App",
    hash,
    name: `${name}.framework`,
    cache_category: "builds",
  });
}

async function download(name, hash) {
  const target = `${server}/api/cache/module/${hash}?${queryOf(name, hash)}`;
  const looked = await fetch(target, { method: "HEAD" });
  if (looked.status !== 204) return null;
  const answer = await fetch(target);
  if (answer.status !== 200) throw new Error(`HEAD said ${looked.status}, GET ${answer.status}`);
  return Buffer.from(await answer.arrayBuffer());
}

async function upload(name, hash, framework) {
  const started = await post(`start?${queryOf(name, hash)}`);
  const { upload_id: id } = JSON.parse(await started.text());
  if (id === null) return;
  const parts = [];
  for (let at = 0; at < framework.length; at += partBytes) {
    parts.push(parts.length + 1);
    const body = framework.subarray(at, at + partBytes);
    await post(`part?upload_id=${id}&part_number=${parts.length}`, { body });
  }
  const digest = crypto.createHash("sha256").update(framework).digest("hex");
  await post(`complete?upload_id=${id}`, {
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ parts, checksum_sha256: digest }),
  });
  counts.uploaded += 1;
}

async function post(target, init = {}) {
  const answer = await fetch(`${server}/api/cache/module/${target}`, { method: "POST", ...init });
  if (answer.ok) return answer;
  throw new Error(`POST ${target.split("?")[0]}: ${answer.status} ${await answer.text()}`);
}

import fs from "node:fs";
import path from "node:path";
import { requireProgram } from "../../spec/support/client-packages.ts";
import { accepts, freePorts, makeTemporaryFolder, until } from "../../spec/support/node-process.ts";
import { pinServer } from "./pin.ts";

/** The yardstick: one nginx worker on the core of the server, WebDAV for writes, sendfile for reads. */
export type Nginx = {
  readonly port: number;
  /** Where the bytes of `/v1/cache/1` lie, without the leading slash of the path. */
  readonly root: string;
  readonly folder: string;
  /** Of the workers; the master does nothing per request. */
  readonly workerPids: readonly number[];
  [Symbol.asyncDispose](): Promise<void>;
};

export async function startNginx(): Promise<Nginx> {
  const program = requireProgram("nginx", "apt-get install nginx-light");
  const folder = makeTemporaryFolder("nginx");
  const [port = 0] = await freePorts(1);
  const root = path.join(folder, "root");
  // Both on one file system, so that a finished upload is renamed and not copied.
  for (const made of [root, path.join(folder, "body"), path.join(folder, "temp")]) {
    fs.mkdirSync(made, { recursive: true });
  }
  // A worker started by root gives up its rights: it must be able to write here all the same.
  fs.chmodSync(folder, 0o755);
  const config = path.join(folder, "nginx.conf");
  fs.writeFileSync(config, configText({ folder, root, port }));
  const master = Bun.spawn([...pinServer(), program, "-p", folder, "-c", config], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: Bun.file(path.join(folder, "stderr.txt")),
  });
  const dispose = async (): Promise<void> => {
    master.kill("SIGTERM");
    await master.exited;
    fs.rmSync(folder, { recursive: true, force: true });
  };
  try {
    await until("nginx listens", () => master.exitCode !== null || accepts(port));
    // It listens before its worker is there.
    await until("nginx has a worker", () => master.exitCode !== null || hasWorker(master.pid));
    if (master.exitCode !== null) {
      const said = fs.readFileSync(path.join(folder, "stderr.txt"), "utf8");
      throw new Error(`nginx ended with ${master.exitCode}: ${said}`);
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  const workerPids = childrenOf(master.pid);
  return { port, root, folder, workerPids, [Symbol.asyncDispose]: dispose };
}

function hasWorker(pid: number): boolean {
  return childrenOf(pid).length > 0;
}

function childrenOf(pid: number): number[] {
  const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.trim().split(" ").filter(Boolean).map(Number);
}

function configText({
  folder,
  root,
  port,
}: {
  folder: string;
  root: string;
  port: number;
}): string {
  const user = process.getuid?.() === 0 ? "user root;\n" : "";
  const temporary = ["proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `  ${name}_temp_path ${folder}/temp/${name};`,
  );
  return `${user}daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log warn;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
${temporary.join("\n")}
  client_max_body_size 256m;
  keepalive_requests 1000000;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=4000 inactive=60s;
  server {
    listen 127.0.0.1:${port};
    root ${root};
    location / {
      dav_methods PUT;
      create_full_put_path on;
      client_body_buffer_size 128k;
    }
  }
}
`;
}

import { Fault } from "../../runtime/base/fault.ts";
import { askNode, askUrl, requireSuccess } from "../node-client.ts";
import type { CleanOptions } from "../program.ts";
import { readConfig } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { type Facts, show } from "../view/text.ts";

type Named = { readonly tenant: string; readonly namespace: string };

/** Empties one namespace through the node that runs here or at the given address. */
export async function clean({
  terminal,
  ...options
}: CleanOptions & { terminal: Terminal }): Promise<void> {
  const { url, namespace = "" } = options;
  const cleaned =
    url === undefined
      ? await cleanHere(terminal, options)
      : await cleanThere(url, { tenant: options.tenant ?? (await tenantOf(url)), namespace });
  show(terminal, cleaned, options);
}

/** Through the admin socket, which knows the node's own tenant. */
async function cleanHere(terminal: Terminal, options: CleanOptions): Promise<Facts> {
  const { tenant, namespace } = options;
  const flags = options.dataDir === undefined ? {} : { KURA_DATA_DIR: options.dataDir };
  const { dataDir } = readConfig(terminal.env, flags).config;
  const query = parameters({ tenant, namespace });
  const answer = await askNode(dataDir, { method: "DELETE", path: `/v1/namespaces?${query}` });
  if (answer === null) {
    const advice = "start it, or name it with --data-dir or --url";
    throw new Fault("unavailable", `Cannot clean: no node is running in ${dataDir}; ${advice}`);
  }
  requireSuccess(answer, describe(namespace));
  return JSON.parse(answer.text) as Facts;
}

async function cleanThere(url: string, { tenant, namespace }: Named): Promise<Facts> {
  const query = parameters({ tenant_id: tenant, namespace_id: namespace });
  const answer = await askUrl(url, { method: "DELETE", path: `/api/cache/clean?${query}` });
  requireSuccess(answer, describe(namespace));
  return { cleaned: true, tenant, namespace };
}

/** The node's own tenant, as it says in its liveness answer. */
async function tenantOf(url: string): Promise<string> {
  const answer = await askUrl(url, { method: "GET", path: "/up" });
  requireSuccess(answer, "ask the node for its tenant");
  const parsed: unknown = JSON.parse(answer.text);
  if (typeof parsed === "object" && parsed !== null && "tenant_id" in parsed) {
    return String(parsed.tenant_id);
  }
  throw new Fault("usage", "The node did not name its tenant: give --tenant");
}

function parameters(values: Readonly<Record<string, string | undefined>>): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== "") query.set(name, value);
  }
  return query;
}

function describe(namespace: string | undefined): string {
  const isNamed = namespace !== undefined && namespace !== "";
  return isNamed ? `clean namespace ${namespace}` : "clean what has no namespace";
}

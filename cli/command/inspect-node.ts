import { Fault } from "../../runtime/base/fault.ts";
import { makeScope, nameArtifact, type Producer } from "../../runtime/store/identity.ts";
import type { ArtifactOptions, InspectOptions } from "../inspect-commands.ts";
import { askNode, requireSuccess } from "../node-client.ts";
import { readArtifact, readSegments, readStore } from "../offline.ts";
import { readConfig } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { type Facts, show } from "../view/text.ts";

type WithTerminal = { readonly terminal: Terminal };

/** Figures of the store, from the running node or from the files of a stopped one. */
export async function inspectStore({
  terminal,
  ...options
}: InspectOptions & WithTerminal): Promise<void> {
  const { dataDir } = locate(terminal, options);
  const live = await question(dataDir, "/v1/store", "ask the node for its store");
  show(terminal, live ?? (await readStore(dataDir)), options);
}

/** The files of the log. */
export async function inspectSegments({
  terminal,
  ...options
}: InspectOptions & WithTerminal): Promise<void> {
  const { dataDir } = locate(terminal, options);
  const live = await question(dataDir, "/v1/segments", "ask the node for its segments");
  show(terminal, live ?? (await readSegments(dataDir)), options);
}

/** One artifact. @throws Fault "missing" when it is not there. */
export async function inspectArtifact({
  terminal,
  ...options
}: ArtifactOptions & WithTerminal): Promise<void> {
  const { dataDir, tenant: ownTenant } = locate(terminal, options);
  const { producer, namespace, key } = options;
  const tenant = options.tenant ?? ownTenant;
  const query = new URLSearchParams({ producer, tenant, namespace, key });
  const what = `find ${producer} artifact ${key} of ${tenant}/${namespace}`;
  const live = await question(dataDir, `/v1/artifact?${query}`, what);
  if (live !== null) return show(terminal, live, options);
  const scope = makeScope(tenant.toLowerCase(), namespace.toLowerCase());
  const stopped = await readArtifact(dataDir, nameArtifact(producer as Producer, scope, key));
  if (stopped === null) throw new Fault("missing", `Cannot ${what}: there is none in ${dataDir}`);
  show(terminal, stopped, options);
}

async function question(dataDir: string, path: string, what: string): Promise<Facts | null> {
  const answer = await askNode(dataDir, { method: "GET", path });
  if (answer === null) return null;
  requireSuccess(answer, what);
  return JSON.parse(answer.text) as Facts;
}

/** Directory and tenant; other settings may be as wrong as they like, looking must still be possible. */
function locate(terminal: Terminal, options: InspectOptions): { dataDir: string; tenant: string } {
  const flags = options.dataDir === undefined ? {} : { KURA_DATA_DIR: options.dataDir };
  return readConfig(terminal.env, flags).config;
}

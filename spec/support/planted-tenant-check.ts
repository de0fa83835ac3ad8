/**
 * Whether two tenants are kept apart, in the store and over HTTP. Prints what was wrong, one line each, and exits with
 * 1 if anything was. A process of its own, so that bug 7 can be preloaded into it.
 */
import { seededRandom } from "../../runtime/base/random.ts";
import { Model } from "./model.ts";
import { startServer } from "./server.ts";
import { SimStore } from "./sim-store.ts";
import { ScriptedClients } from "./sim-store-script.ts";

/** The same key and namespace in two tenants, with every rule that meets the key of the other. */
async function checkStore(): Promise<string[]> {
  const sim = new SimStore({ random: seededRandom(1) });
  await sim.ready();
  const model = new Model();
  const clients = new ScriptedClients(sim, model);
  for (const scope of ["ours/app", "theirs/app"]) {
    await clients.run([{ at: "put", scope, key: "k", rule: "firstWins", sizeBytes: 100 }]);
    await clients.judgeReads();
  }
  await clients.run([{ at: "delete", scope: "theirs/app", key: "k" }]);
  await clients.judgeReads();
  await clients.run([{ at: "clean", scope: "ours/app" }]);
  await clients.judgeReads();
  await sim.store.close();
  return clients.breaches.map((breach) => `store: ${breach}`);
}

async function checkHttp(): Promise<string[]> {
  const breaches: string[] = [];
  await using server = await startServer();
  const url = (tenant: string): string => `${server.url}/cache/${tenant}/app/0123456789abcdef`;
  const put = await fetch(url("ours"), { method: "PUT", body: "our bytes" });
  if (put.status !== 201) breaches.push(`http: our put got ${put.status}`);
  const theirs = await fetch(url("theirs"));
  const text = await theirs.text();
  if (theirs.status !== 404) breaches.push(`http: the other tenant got ${theirs.status}: ${text}`);
  const ours = await fetch(url("ours"));
  if ((await ours.text()) !== "our bytes") breaches.push("http: our bytes are gone");
  return breaches;
}

const breaches = [...(await checkStore()), ...(await checkHttp())];
for (const breach of breaches) console.log(breach);
process.exit(breaches.length > 0 ? 1 : 0);

import { describe, expect, test } from "bun:test";
import type { SpaceReport } from "../../../runtime/catalog/space-report.ts";
import { grpcCodes } from "../../../runtime/wire/grpc/status.ts";
import { type NodeProcess, startNode } from "../../support/node-process.ts";
import { digestOf, ReapiClient } from "../../support/reapi-client.ts";

const instanceName = "ios";
const actionDigest = digestOf(Buffer.from("an action"));

/** Misses of action results by reason, as the exposition has them. */
async function missesOf(node: NodeProcess): Promise<Record<string, number>> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  const lines = text.matchAll(/^kura_pointer_misses_total\{(.*),reason="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries(
    [...lines].map(([, labels, reason, count]) => {
      expect(labels).toStartWith(`producer="reapi",kind="actionResult",artifact_class="pointer"`);
      return [reason, Number(count)];
    }),
  );
}

async function reportOf(node: NodeProcess): Promise<SpaceReport> {
  const answer = await fetch("http://kura/v1/space", { unix: node.adminSocket });
  return (await answer.json()) as SpaceReport;
}

describe.each(["kura", "grpc-js"])("%s", (engine) => {
  test("GetActionResult counts its hits, and says of its misses why", async () => {
    await using node = await startNode({ env: { KURA_GRPC_ENGINE: engine } });
    using client = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
    const get = async (): Promise<number> =>
      (await client.call("ActionCache/GetActionResult", { instanceName, actionDigest })).code;
    const update = async (actionResult: object): Promise<number> => {
      const fields = { instanceName, actionDigest, actionResult };
      return (await client.call("ActionCache/UpdateActionResult", fields)).code;
    };
    expect(await get()).toBe(grpcCodes.notFound);
    expect(await missesOf(node)).toEqual({ never_written: 1 });
    expect(await update({ exitCode: 1 })).toBe(0);
    expect(await get()).toBe(0);
    const digest = digestOf(Buffer.from("not here"));
    expect(await update({ outputFiles: [{ path: "a", digest }] })).toBe(0);
    expect(await get()).toBe(grpcCodes.notFound);
    const clean = `${node.url}/api/cache/clean?tenant_id=default&namespace_id=${instanceName}`;
    expect((await fetch(clean, { method: "DELETE" })).status).toBe(204);
    expect(await get()).toBe(grpcCodes.notFound);
    const missReasons = { never_written: 1, incomplete: 1, cleaned: 1 };
    expect(await missesOf(node)).toEqual(missReasons);
    const { holdings, pointerReads } = await reportOf(node);
    expect(pointerReads).toEqual({ hits: 1, misses: 3, hitPercent: 25, missReasons });
    expect(holdings).toEqual([
      expect.objectContaining({ namespace: instanceName, producer: "reapi", pointerReads }),
    ]);
  });
});

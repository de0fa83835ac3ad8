import { startNode } from "../support/node-process.ts";
import { ReapiClient } from "../support/reapi-client.ts";

/** A server to be judged, and a client of it. */
export type Endpoint = AsyncDisposable & {
  readonly client: ReapiClient;
  /** As the client's address, for further clients. */
  readonly address: string;
  /** An instance that nobody else uses. */
  readonly instance: string;
};

let instanceCount = 0;

const given = process.env.KURA_CONFORMANCE_ENDPOINT;

/** What is judged: both engines of this build, or the server of `KURA_CONFORMANCE_ENDPOINT` (`host:port`, in clear). */
export const judged: readonly string[] = given === undefined ? ["kura", "grpc-js"] : [given];

/** One of those that are judged. */
export async function openEndpoint(engine: string): Promise<Endpoint> {
  const env = { KURA_GRPC_ENGINE: engine };
  const node = given === undefined ? await startNode({ env }) : null;
  const address = given ?? `127.0.0.1:${node?.grpcPort}`;
  const client = new ReapiClient(address);
  return {
    client,
    address,
    instance: `conformance/${process.pid}-${Date.now()}-${instanceCount++}`,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await node?.[Symbol.asyncDispose]();
    },
  };
}

import { checkId, decodeSegment } from "../../catalog/id.ts";
import { encodeKeyValue, parseKeyValue } from "../../catalog/key-value.ts";
import { keyValue } from "../../catalog/kinds.ts";
import { artifactTarget } from "../../catalog/target.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { emptyAnswer } from "./answer.ts";
import { sendArtifact } from "./download.ts";
import { defineRoute, type Exchange, type Protocol } from "./exchange.ts";
import { scopeOfQuery } from "./query.ts";
import { receiveSmall } from "./receive-small.ts";
import { commit, countWrite, resultOf } from "./upload.ts";

/**
 * Entries of Xcode's action cache: a small JSON document under a CAS id, replaced by every write.
 * @source surfaces.md 4.2.
 */
const collectionPath = "/api/cache/keyvalue";
const prefix = `${collectionPath}/`;

const collectionRoute = defineRoute(collectionPath, { PUT: write });
const entryRoute = defineRoute("/api/cache/keyvalue/{cas_id}", { GET: read, HEAD: read });

export const keyValueEntries: Protocol = {
  routes: [collectionRoute, entryRoute],
  find(path) {
    if (path === collectionPath) return collectionRoute;
    return path.startsWith(prefix) ? entryRoute : null;
  },
};

function keyOf(casId: string): string {
  return `action_cache/${casId}`;
}

function read(exchange: Exchange): Answer | Promise<Answer> {
  const scope = scopeOfQuery(exchange);
  const casId = checkId(decodeSegment(exchange.path.slice(prefix.length)), "the CAS id");
  const { producer } = keyValue;
  const target = artifactTarget("read", { producer, scope, key: keyOf(casId) });
  return sendArtifact(exchange, target, keyValue);
}

/** The key stands in the body, so the target is known only when the body is. */
async function write(exchange: Exchange): Promise<Answer> {
  const scope = scopeOfQuery(exchange);
  const store = exchange.surface.store();
  try {
    exchange.surface.status.memory.admitWrite();
    const limitBytes = exchange.surface.config.keyValueBytesMax;
    using received = await receiveSmall({ exchange, limitBytes });

    const document = parseKeyValue(received.bytes);
    const { producer, kind, rule, contentType } = keyValue;
    const target = artifactTarget("write", { producer, scope, key: keyOf(document.casId) });
    exchange.target = target;
    const body = encodeKeyValue(document);
    await commit(store, {
      op: "put",
      name: target.name,
      kind,
      rule,
      contentType,
      body,
      sha256: null,
      attributes: {},
      writer: "",
    });
    countWrite(exchange, keyValue, "ok", body.length);
    return emptyAnswer(exchange, 204);
  } catch (error) {
    countWrite(exchange, keyValue, resultOf(error), 0);
    throw error;
  }
}

import { checkId, decodeSegment } from "../../catalog/id.ts";
import { moduleEntry } from "../../catalog/kinds.ts";
import { moduleKey } from "../../catalog/module.ts";
import { type ArtifactTarget, artifactTarget } from "../../catalog/target.ts";
import { type Answer, noBody } from "../../wire/http1/answer.ts";
import { commonHeaders, dataAnswer, emptyAnswer } from "./answer.ts";
import { sendArtifact } from "./download.ts";
import { defineRoute, type Exchange, type Protocol } from "./exchange.ts";
import { completeModule } from "./module-complete.ts";
import { takeModulePart } from "./module-part.ts";
import { required } from "./module-upload.ts";
import { readParameters, scopeOfQuery } from "./query.ts";
import { findArtifact } from "./upload.ts";

/**
 * Tuist's module cache. Modules are uploaded in parts and downloaded as one. The id in the path of a download says
 * nothing: the query names the module.
 * @source surfaces.md 4.4.
 */
const prefix = "/api/cache/module/";
const defaultCategory = "builds";

const startRoute = defineRoute("/api/cache/module/start", { POST: start });
const partRoute = defineRoute("/api/cache/module/part", { POST: takeModulePart });
const completeRoute = defineRoute("/api/cache/module/complete", { POST: completeModule });
const moduleRoute = defineRoute("/api/cache/module/{id}", { GET: read, HEAD: look });

export const modules: Protocol = {
  routes: [startRoute, partRoute, completeRoute, moduleRoute],
  find(path) {
    if (!path.startsWith(prefix)) return null;
    switch (path.slice(prefix.length)) {
      case "start":
        return startRoute;
      case "part":
        return partRoute;
      case "complete":
        return completeRoute;
      default:
        return moduleRoute;
    }
  },
};

function targetOf(exchange: Exchange, action: "read" | "write"): ArtifactTarget {
  const scope = scopeOfQuery(exchange);
  const given = readParameters(exchange.query, ["hash", "name", "cache_category"]);
  const key = moduleKey({
    category: given.cache_category ?? defaultCategory,
    hash: required(given.hash, "hash"),
    name: required(given.name, "name"),
  });
  return artifactTarget(action, { producer: moduleEntry.producer, scope, key });
}

function readTarget(exchange: Exchange): ArtifactTarget {
  checkId(decodeSegment(exchange.path.slice(prefix.length)), "the id");
  return targetOf(exchange, "read");
}

function start(exchange: Exchange): Answer {
  const target = targetOf(exchange, "write");
  exchange.target = target;
  const store = exchange.surface.store();
  const isThere = findArtifact(store, target.name) !== null;
  if (!isThere) exchange.surface.status.memory.admitWrite();
  const answer = { upload_id: isThere ? null : store.uploads.start(target.name) };
  return dataAnswer(exchange, 200, answer);
}

function read(exchange: Exchange): Answer | Promise<Answer> {
  return sendArtifact(exchange, readTarget(exchange), moduleEntry);
}

/** Unlike HEAD elsewhere: 204 or 404, without the headers of a download. */
function look(exchange: Exchange): Answer {
  const target = readTarget(exchange);
  exchange.target = target;
  if (findArtifact(exchange.surface.store(), target.name) === null) {
    return emptyAnswer(exchange, 404);
  }
  const headers = { ...commonHeaders(exchange), "accept-ranges": "bytes" };
  return { status: 204, headers, body: noBody, hangsUp: exchange.hangsUp };
}

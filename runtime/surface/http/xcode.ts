import { checkId, decodeSegment } from "../../catalog/id.ts";
import { xcodeBlob } from "../../catalog/kinds.ts";
import { type ArtifactTarget, artifactTarget } from "../../catalog/target.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import { sendArtifact } from "./download.ts";
import { defineRoute, type Exchange, type Protocol } from "./exchange.ts";
import { scopeOfQuery } from "./query.ts";
import { storeArtifact } from "./upload.ts";

/** Xcode's content-addressed store. Ids are opaque: they are not compared with the content. @source surfaces.md 4.1. */
const prefix = "/api/cache/cas/";

const route = defineRoute("/api/cache/cas/{id}", { GET: read, HEAD: read, POST: write });

export const xcode: Protocol = {
  routes: [route],
  find: (path) => (path.startsWith(prefix) ? route : null),
};

function targetOf(exchange: Exchange, action: "read" | "write"): ArtifactTarget {
  const scope = scopeOfQuery(exchange);
  const id = checkId(decodeSegment(exchange.path.slice(prefix.length)), "the id");
  return artifactTarget(action, { producer: xcodeBlob.producer, scope, key: `blob/${id}` });
}

function read(exchange: Exchange): Answer | Promise<Answer> {
  return sendArtifact(exchange, targetOf(exchange, "read"), xcodeBlob);
}

function write(exchange: Exchange): Answer | Promise<Answer> {
  return storeArtifact(exchange, targetOf(exchange, "write"), {
    kind: xcodeBlob,
    limitBytes: exchange.surface.config.xcodeBytesMax,
    storedStatus: 204,
    existsStatus: 204,
  });
}

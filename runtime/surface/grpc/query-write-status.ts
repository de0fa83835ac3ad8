import { Fault } from "../../base/fault.ts";
import { nameBlob } from "../../catalog/reapi.ts";
import { quoteText } from "../../catalog/text.ts";
import {
  decodeQueryWriteStatus,
  encodeWriteStatus,
} from "../../wire/proto/byte-stream-messages.ts";
import { isEmpty, vouchForBlob } from "./blobs.ts";
import { uploadKey } from "./byte-stream-write.ts";
import { scopeOf } from "./instance.ts";
import { needMessage } from "./requests.ts";
import { parseUpload } from "./resource-name.ts";
import type { GrpcSurface } from "./surface.ts";

/** A finished upload is one whose blob is here. Of one that broke off, the size of what came; it counts blob's bytes. */
export function queryWriteStatus(surface: GrpcSurface, request: Uint8Array): Uint8Array {
  const resourceName = needMessage(decodeQueryWriteStatus(request), "QueryWriteStatusRequest");
  const upload = parseUpload(resourceName);
  const { digest } = upload;
  const scope = scopeOf(surface, upload.instanceName);
  if (isEmpty(digest) || vouchForBlob(surface, scope, digest)) {
    return encodeWriteStatus(digest.sizeBytes, true);
  }
  const name = nameBlob(scope, digest.digestFunction, digest.hash);
  const receivedBytes = surface.uploads.receivedBytes(uploadKey(scope, upload, name).upload);
  if (receivedBytes !== null) return encodeWriteStatus(receivedBytes, false);
  const message = `Nothing is known of the upload ${quoteText(resourceName)}: begin anew`;
  throw new Fault("missing", message);
}

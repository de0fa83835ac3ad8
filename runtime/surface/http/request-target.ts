import { headersMax, targetCharsMax } from "../../base/limits.ts";

/** Path and query of a request, both not decoded, or why it cannot be served. */
export type SplitTarget =
  | { readonly at: "split"; readonly path: string; readonly query: string }
  | { readonly at: "refused"; readonly status: number; readonly message: string };

const slash = 0x2f;
/** "https://" and one character of a host. */
const originCharsMin = 8;

const statusBadRequest = 400;
const statusTargetTooLong = 414;
const statusHeadersTooLarge = 431;

/**
 * Cuts the target of a request. Bun has resolved dot segments by now, and has put the Host header in front: when that
 * header is no host at all, Bun leaves both undone and gives the bare target (measured on 1.4.5). Nothing we do depends
 * on Host, but two of them, or a broken one, mean that somebody in front of us may have read another request.
 * @source RFC 9112 section 3.2: such a request is answered 400.
 */
export function splitTarget(request: Request): SplitTarget {
  const { url, headers } = request;
  const host = headers.get("host");
  const isBare = url.charCodeAt(0) === slash;
  if (host !== null && (host.includes(",") || (isBare && host !== ""))) {
    return refused(statusBadRequest, "Cannot read the Host header: send one, with one host");
  }
  const pathStart = isBare ? 0 : url.indexOf("/", originCharsMin);
  // CONNECT names a host and no path; a fragment is never sent by a client that means well.
  if (pathStart === -1 || url.includes("#")) {
    return refused(statusBadRequest, "Cannot read the request target: send a path");
  }
  if (url.length - pathStart > targetCharsMax) {
    return refused(
      statusTargetTooLong,
      `Cannot read the request target: it has more than ${targetCharsMax} characters`,
    );
  }
  if (headers.count > headersMax) {
    return refused(statusHeadersTooLarge, `Cannot read more than ${headersMax} headers`);
  }
  const queryStart = url.indexOf("?", pathStart);
  if (queryStart === -1) return { at: "split", path: url.slice(pathStart), query: "" };
  return { at: "split", path: url.slice(pathStart, queryStart), query: url.slice(queryStart + 1) };
}

function refused(status: number, message: string): SplitTarget {
  return { at: "refused", status, message };
}

import { headersMax, targetCharsMax } from "../../base/limits.ts";

/** Path and query of a request, both not decoded, or why it cannot be served; the path is empty when it is not known. */
export type SplitTarget =
  | { readonly at: "split"; readonly path: string; readonly query: string }
  | Refusal;

export type Refusal = {
  readonly at: "refused";
  readonly path: string;
  readonly status: number;
  readonly message: string;
};

const slash = 0x2f;
/** "https://" and one character of a host. */
const originCharsMin = 8;

const lengthPattern = /^\d+$/;

const statusBadRequest = 400;
const statusTargetTooLong = 414;
const statusHeadersTooLarge = 431;

/**
 * Cuts the target of a request. Bun has resolved dot segments by now, and has put the Host header in front: when that
 * header is no host at all, Bun leaves both undone and gives the bare target (measured on 1.4.5). Nothing we do depends
 * on Host, but two of them, or a broken one, mean that somebody in front of us may have read another request.
 * The same goes for two equal Content-Length headers, which Bun takes and joins as "2, 2" (measured on 1.4.5).
 * @source RFC 9112 sections 3.2 and 6.3: such a request is answered 400.
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
  const path = queryStart === -1 ? url.slice(pathStart) : url.slice(pathStart, queryStart);
  const lengthText = headers.get("content-length");
  if (lengthText !== null && !lengthPattern.test(lengthText)) {
    const message = "Cannot read the Content-Length header: send one, with one whole number";
    return refused(statusBadRequest, message, path);
  }
  return { at: "split", path, query: queryStart === -1 ? "" : url.slice(queryStart + 1) };
}

function refused(status: number, message: string, path = ""): Refusal {
  return { at: "refused", path, status, message };
}

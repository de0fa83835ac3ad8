import type { RequestBody } from "./body.ts";
import type { HeaderList } from "./headers.ts";

/** One request as it came over a connection. Its head is whole and well-formed; its body may still be on the way. */
export type HttpRequest = {
  readonly method: string;
  /** As it was sent, without scheme and authority: begins with a slash, is not decoded, and keeps dot segments. */
  readonly target: string;
  readonly headers: HeaderList;
  readonly body: RequestBody;
  /** Aborted when the connection ends before the answer was sent. Made when it is first asked for. */
  readonly signal: AbortSignal;
};

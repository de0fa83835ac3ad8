import { Fault } from "../../base/fault.ts";
import { quoteText } from "../../catalog/text.ts";
import type { Attributes } from "../../store/store.ts";
import type { HeaderList } from "../../wire/http1/headers.ts";

/**
 * What Turborepo sends with an artifact and wants back with it. Names of headers, and of the attributes under which
 * they are kept.
 */
export const artifactDurationHeader = "x-artifact-duration";
/** The signature of a signed artifact: without it such a team sees a miss. */
export const artifactTagHeader = "x-artifact-tag";

/** The limit of Vercel's API; with the other attributes it stays below the store's 1 KiB. */
const printableTag = /^[\x20-\x7e]{1,600}$/;
const wholeNumber = /^\d{1,16}$/;

/**
 * Reads duration (whole milliseconds up to 2^53-1) and tag, both kept as they were given.
 * @throws Fault "badRequest" for anything else.
 */
export function readArtifactHeaders(headers: HeaderList): Attributes {
  const attributes: Record<string, string> = {};
  const duration = headers.get(artifactDurationHeader);
  if (duration !== null) {
    if (!wholeNumber.test(duration) || !Number.isSafeInteger(Number(duration))) {
      throw bad(artifactDurationHeader, duration, "a whole number of milliseconds up to 2^53-1");
    }
    attributes[artifactDurationHeader] = duration;
  }
  const tag = headers.get(artifactTagHeader);
  if (tag !== null) {
    if (!printableTag.test(tag)) {
      throw bad(artifactTagHeader, tag, "1 to 600 printable ASCII characters");
    }
    attributes[artifactTagHeader] = tag;
  }
  return attributes;
}

function bad(header: string, value: string, wanted: string): Fault {
  return new Fault("badRequest", `Cannot read ${header}: ${quoteText(value)} is not ${wanted}`);
}

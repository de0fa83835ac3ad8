import { InvalidArgumentError } from "commander";
import { GiB, hour, minute, second } from "../../runtime/base/units.ts";
import { bytes, count, label, url } from "../../runtime/config/value.ts";

/** Reads the values of the flags of `kura bench`. Each throws what commander turns into its line about the flag. */

const bodyBytesMax = 2 * GiB;
const durationMsMax = 24 * hour;

export function whole(bounds: { min: number; max: number }): (text: string) => number {
  const kind = count(bounds);
  return (text) => kind.parse(text) ?? refuse(`It takes a whole number, ${kind.range}.`);
}

export function collect<T>(parse: (text: string) => T): (text: string, before?: T[]) => T[] {
  return (text, before = []) => [...before, parse(text)];
}

export function parseSizes(text: string): number[] {
  const kind = bytes({ min: 1, max: bodyBytesMax });
  return text
    .split(",")
    .map(
      (part) =>
        kind.parse(part.trim()) ?? refuse(`It takes sizes with commas between: ${kind.range}.`),
    );
}

const timeUnits: Readonly<Record<string, number>> = { ms: 1, s: second, m: minute, h: hour };

/** Milliseconds; 0 to a day. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text);
  const valueMs = Math.round(Number(match?.[1]) * (timeUnits[match?.[2] ?? ""] ?? Number.NaN));
  if (valueMs <= durationMsMax) return valueMs;
  return refuse("It takes a time such as 500ms, 10s or 2m, at most 24h.");
}

export function parseHttpUrl(text: string): string {
  const parsed = url().parse(text);
  if (parsed === null || !parsed.startsWith("http://")) refuse("It takes an absolute http:// URL.");
  const { origin, pathname, search } = new URL(text);
  if (pathname !== "/" || search !== "") refuse("It takes no path: give --path-template.");
  return origin;
}

export function parseLabel(text: string): string {
  const kind = label();
  return kind.parse(text) ?? refuse(`It takes ${kind.range}.`);
}

/** What frames a request is written by the load itself: twice would be a request that each server reads differently. */
const ownHeaders = /^(host|connection|content-length|transfer-encoding|expect|upgrade)$/i;

export function parseHeader(text: string): string {
  const name = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?[\x20-\x7e]+$/.exec(text)?.[1];
  if (name !== undefined && !ownHeaders.test(name)) return text;
  return refuse("It takes 'Name: value', of any header but those that frame a request.");
}

export function parseSetting(text: string): [string, string] {
  const match = /^(KURA_[A-Z0-9_]+)=(.+)$/.exec(text);
  return match?.[1] !== undefined && match[2] !== undefined
    ? [match[1], match[2]]
    : refuse("It takes a setting, such as KURA_BODY_CACHE_MAX_BYTES=64MiB.");
}

export function refuse(why: string): never {
  throw new InvalidArgumentError(why);
}

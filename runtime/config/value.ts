import { Secret } from "../base/secret.ts";
import { GiB, KiB, MiB } from "../base/units.ts";

/** How a setting is read from text and shown again. `parse` returns null for what is outside of `range`. */
export type ValueKind<T> = {
  /** "bytes", "ms", "count" and so on: the second column of every listing. */
  readonly unit: string;
  /** The allowed values in words, for messages. */
  readonly range: string;
  readonly parse: (text: string) => T | null;
  readonly show: (value: T) => string;
};

type Bounds = { readonly min: number; readonly max: number };

const suffixes: Readonly<Record<string, number>> = { KiB, MiB, GiB, TiB: 1_024 * GiB };

/** Whole bytes, or a whole number with KiB, MiB, GiB or TiB behind it. */
export function bytes({ min, max }: Bounds): ValueKind<number> {
  return {
    unit: "bytes",
    range: `${showBytes(min)} to ${showBytes(max)}, as bytes or with KiB, MiB, GiB, TiB`,
    parse(text) {
      const match = /^(\d{1,16})(?: ?(KiB|MiB|GiB|TiB))?$/.exec(text);
      if (match === null) return null;
      return within(Number(match[1]) * (suffixes[match[2] ?? ""] ?? 1), { min, max });
    },
    show: showBytes,
  };
}

export function count(bounds: Bounds): ValueKind<number> {
  return number("count", bounds);
}

export function milliseconds(bounds: Bounds): ValueKind<number> {
  return number("ms", bounds);
}

export function seconds(bounds: Bounds): ValueKind<number> {
  return number("s", bounds);
}

/** 0 asks the system for a free port. */
export function port(): ValueKind<number> {
  return { ...number("port", { min: 0, max: 65_535 }), range: "0 (any free port) to 65535" };
}

function number(unit: string, { min, max }: Bounds): ValueKind<number> {
  return {
    unit,
    range: `${min} to ${max}`,
    parse: (text) => (/^-?\d{1,16}$/.test(text) ? within(Number(text), { min, max }) : null),
    show: String,
  };
}

/** Minus one stands for "no limit", as in the reference. */
export function countOrUnlimited(max: number): ValueKind<number> {
  const kind = count({ min: 1, max });
  return {
    ...kind,
    range: `-1 (no limit) or 1 to ${max}`,
    parse: (text) => (text === "-1" ? -1 : kind.parse(text)),
  };
}

/** A share of requests, 0 to 1. */
export function share(): ValueKind<number> {
  return {
    unit: "share",
    range: "0 to 1",
    parse: (text) =>
      /^[01](\.\d{1,6})?$/.test(text) ? within(Number(text), { min: 0, max: 1 }) : null,
    show: String,
  };
}

const booleans: Readonly<Record<string, boolean>> = {
  "1": true,
  true: true,
  "0": false,
  false: false,
};

export function flag(): ValueKind<boolean> {
  return {
    unit: "yes/no",
    range: "1, true, 0 or false",
    parse: (text) => booleans[text.toLowerCase()] ?? null,
    show: (value) => (value ? "true" : "false"),
  };
}

export function choice<const T extends string>(choices: readonly T[]): ValueKind<T> {
  return {
    unit: "word",
    range: choices.join(", "),
    parse: (text) => choices.find((one) => one === text) ?? null,
    show: (value) => value,
  };
}

/** A tenant or region: part of keys, metrics and URLs, so it is short and plain. */
export function label(): ValueKind<string> {
  return {
    unit: "name",
    range: "1 to 128 characters without space, /, \\ or control characters",
    parse: (text) =>
      /^[^\s/\\\u0000-\u001f\u007f]{1,128}$/u.test(text) && text !== "." && text !== ".."
        ? text
        : null,
    show: (value) => value,
  };
}

/** Any line of text; empty while not set. */
export function text(): ValueKind<string> {
  return {
    unit: "text",
    range: "one line of at most 4096 characters",
    parse: (given) => (/^[^\u0000-\u001f\u007f]{1,4096}$/u.test(given) ? given : null),
    show: (value) => (value === "" ? "off" : value),
  };
}

export function path(): ValueKind<string> {
  return { ...text(), unit: "path", range: "a path of at most 4096 characters" };
}

/** An address to listen on or to name: an IP address or a host name. */
export function host(): ValueKind<string> {
  return {
    unit: "address",
    range: "an IP address or a host name",
    parse: (given) => (/^[A-Za-z0-9.:_-]{1,253}$/.test(given) ? given : null),
    show: (value) => (value === "" ? "off" : value),
  };
}

/** An absolute http or https URL; empty while not set. */
export function url(): ValueKind<string> {
  return {
    unit: "url",
    range: "an absolute http:// or https:// URL",
    parse: (given) => (isHttpUrl(given) ? given.replace(/\/+$/, "") : null),
    show: (value) => (value === "" ? "off" : value),
  };
}

/** URLs with commas between them; blanks are ignored. */
export function urls(): ValueKind<readonly string[]> {
  return {
    unit: "urls",
    range: "absolute http:// or https:// URLs with commas between them",
    parse(given) {
      const parts = given.split(",").map((part) => part.trim());
      const named = parts.filter((part) => part !== "");
      return named.every(isHttpUrl) ? named : null;
    },
    show: (value) => (value.length === 0 ? "none" : value.join(",")),
  };
}

/** Never shown; empty while not set. */
export function secret(): ValueKind<Secret> {
  return {
    unit: "secret",
    range: "text",
    parse: (given) => new Secret(given),
    show: (value) => (value.reveal() === "" ? "off" : String(value)),
  };
}

function isHttpUrl(given: string): boolean {
  if (!URL.canParse(given)) return false;
  const parsed = new URL(given);
  return /^https?:$/.test(parsed.protocol) && parsed.hostname !== "" && parsed.username === "";
}

function within(value: number, { min, max }: Bounds): number | null {
  return value >= min && value <= max ? value : null;
}

/** The largest unit that gives a whole number, so that what is printed can be pasted back. */
export function showBytes(value: number): string {
  for (const [suffix, sizeBytes] of Object.entries(suffixes).reverse()) {
    if (value >= sizeBytes && value % sizeBytes === 0) return `${value / sizeBytes} ${suffix}`;
  }
  return String(value);
}

import { sha256 } from "../../runtime/base/digest.ts";
import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import type { RawDigest } from "../../runtime/wire/proto/raw-digest.ts";
import { drawSkewed } from "./load-sizes.ts";
import { makeContent } from "./load-surface.ts";

const poolBytes = 8 * MiB;
const stampBytes = 16;
const stepBytes = 64;
/** Spreads neighbouring numbers over all seeds. */
const spread = 0x9e3779b1;

/** Sizes of what a load writes: most artifacts are small, most bytes are in large ones. */
export type SizeLayer = {
  readonly weight: number;
  readonly minBytes: number;
  readonly maxBytes: number;
};

export const artifactLayers: readonly SizeLayer[] = [
  { weight: 60, minBytes: KiB, maxBytes: 16 * KiB },
  { weight: 30, minBytes: 16 * KiB, maxBytes: 256 * KiB },
  { weight: 10, minBytes: 256 * KiB, maxBytes: 4 * MiB },
];
/** Outputs of actions: object files, and now and then a library. */
export const outputLayers: readonly SizeLayer[] = [
  { weight: 98, minBytes: KiB, maxBytes: 32 * KiB },
  { weight: 2, minBytes: 32 * KiB, maxBytes: 4 * MiB },
];

export function drawLayered(random: Random, layers: readonly SizeLayer[]): number {
  let draw = random.below(layers.reduce((sum, { weight }) => sum + weight, 0));
  for (const { weight, minBytes, maxBytes } of layers) {
    if (draw < weight) return drawSkewed(random, minBytes, maxBytes);
    draw -= weight;
  }
  return stampBytes;
}

/** Bodies that follow from a number alone: what was written can be made again, and none equals another. */
export class NumberedBodies {
  readonly #seed: number;
  readonly #pool: Uint8Array;

  constructor(seed: number) {
    this.#seed = seed;
    this.#pool = makeContent(`pool ${seed}`, poolBytes);
  }

  /** At least 16 bytes, at most 4 MiB. */
  make(number: number, sizeBytes: number): Buffer {
    const start = (number * stepBytes) % (poolBytes - 4 * MiB);
    const body = Buffer.from(this.#pool.subarray(start, start + sizeBytes));
    body.writeUInt32LE(this.#seed >>> 0, 0);
    body.writeDoubleLE(number, 4);
    body.writeUInt32LE(sizeBytes, 12);
    return body;
  }

  /** The number that a body says it was made from. */
  numberOf(body: Uint8Array): number {
    return body.length < stampBytes
      ? -1
      : Buffer.from(body.buffer, body.byteOffset, body.length).readDoubleLE(4);
  }

  isRight(number: number, body: Uint8Array): boolean {
    return body.length >= stampBytes && this.make(number, body.length).equals(body);
  }
}

/** Blobs by number: size and bytes follow from it. */
export class NumberedBlobs {
  readonly #seed: number;
  readonly #bodies: NumberedBodies;
  readonly #digests = new Map<number, RawDigest>();

  constructor(seed: number) {
    this.#seed = seed;
    this.#bodies = new NumberedBodies(seed);
  }

  bytesOf(number: number): Buffer {
    const random = seededRandom(Math.imul(this.#seed ^ number, spread));
    return this.#bodies.make(number, drawLayered(random, outputLayers));
  }

  digestOf(number: number): RawDigest {
    const known = this.#digests.get(number);
    if (known !== undefined) return known;
    const bytes = this.bytesOf(number);
    const digest = { hash: hashOf(bytes), sizeBytes: bytes.length };
    this.#digests.set(number, digest);
    return digest;
  }
}

export function hashOf(bytes: Uint8Array): string {
  return Buffer.from(sha256(bytes)).toString("hex");
}

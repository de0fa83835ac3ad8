import { asFault } from "../../runtime/base/fault.ts";
import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { drive } from "./sim-clock.ts";
import { SimStore } from "./sim-store.ts";
import { randomSurvival } from "./sim-store-run.ts";
import { nameOf } from "./sim-store-script.ts";

/** One upload in parts, as its client knows it. */
export type KnownUpload = {
  readonly id: string;
  readonly key: string;
  /** What was acknowledged, by number. */
  readonly parts: Map<number, Uint8Array>;
  /** Parts whose end nobody heard of: each may have taken the place of an earlier one. */
  readonly doubtful: Map<number, Uint8Array>;
};

const scope = "a/one";
/** Few numbers and short bodies: parts are replaced often, and a power cut leaves many of them whole. */
const numbersMax = 3;
const partBytesMax = 600;
const stepsMax = 12;
const livesMax = 3;

/** Sends one part, whole. @throws what the store throws. */
export async function putPart(
  sim: SimStore,
  upload: KnownUpload,
  number: number,
  body: Uint8Array,
): Promise<void> {
  upload.doubtful.set(number, body);
  const sent = (async () => {
    const stage = sim.store.uploads.openPart(upload.id, { number, sizeBytes: body.length });
    try {
      for (let at = 0; at < body.length; at += 700) await stage.write(body.slice(at, at + 700));
      await stage.finish();
    } catch (error) {
      stage.discard();
      throw error;
    }
  })();
  const isSent = (await drive(sim.clock, sent)) !== null;
  // A machine that is off answers nobody, whatever the program made of the call that failed.
  if (!isSent || sim.calls.isOff) throw new Error("The part was never answered");
  upload.doubtful.delete(number);
  upload.parts.set(number, body);
}

export function openUpload(sim: SimStore, key: string): KnownUpload {
  return {
    id: sim.store.uploads.start(nameOf(scope, key)),
    key,
    parts: new Map(),
    doubtful: new Map(),
  };
}

/** Completes with the parts that the client believes in. @throws what the store throws. */
export async function completeUpload(sim: SimStore, upload: KnownUpload): Promise<string> {
  const name = nameOf(scope, upload.key);
  const numbers = [...upload.parts.keys()].sort((left, right) => left - right);
  const completed = sim.store.uploads.complete(upload.id, numbers, async (assembly) => {
    const chunks: Uint8Array[] = [];
    await assembly.read((chunk) => void chunks.push(Uint8Array.from(chunk)));
    const outcome = await sim.store.commit({
      op: "put",
      name,
      kind: "module",
      rule: "firstWins",
      contentType: "application/octet-stream",
      sha256: null,
      attributes: {},
      writer: "",
      body: new Uint8Array(Buffer.concat(chunks)),
    });
    return outcome.at === "stored" ? "stored" : "exists";
  });
  const driven = await drive(sim.clock, completed);
  if (driven === null) throw new Error("The upload was never completed");
  return driven.value;
}

export async function readKey(sim: SimStore, key: string): Promise<Uint8Array | null> {
  const body = await sim.read(nameOf(scope, key));
  return body === "damaged" ? null : body;
}

export function wholeOf({ parts }: Pick<KnownUpload, "parts">): Buffer<ArrayBuffer> {
  const inOrder = [...parts].sort(([left], [right]) => left - right);
  return Buffer.concat(inOrder.map(([, body]) => body));
}

/** What the client may find: what was acknowledged, or the same with parts in doubt. */
function possible({ parts, doubtful }: KnownUpload): Buffer[] {
  let variants = [parts];
  for (const [number, body] of doubtful) {
    if (!parts.has(number)) continue;
    variants = variants.flatMap((one) => [one, new Map(one).set(number, body)]);
  }
  return variants.map((one) => wholeOf({ parts: one }));
}

/** Names of the part files that are on the disk. */
export function partFiles(sim: SimStore): string[] {
  return sim.disk.list("/data/parts").sort();
}

/**
 * One seed: uploads get parts, some of them twice, over some lives that each end in the middle of it, and then every
 * one is completed. Tells what was wrong, or null.
 */
export async function runUploadSeed(seed: number): Promise<string | null> {
  const random = seededRandom(seed);
  let sim = new SimStore({ random });
  await sim.ready();
  const uploads = [openUpload(sim, "k0"), openUpload(sim, "k1")];
  let wasCut = false;
  for (let lives = 1 + random.below(livesMax); lives > 0; lives--) {
    sim.calls.offAt = sim.calls.count + 1 + random.below(60);
    await sendSome(sim, uploads, random);
    const isKill = random.below(3) === 0 && !sim.calls.isOff;
    wasCut ||= !isKill;
    const lost = random.below(sim.home.unflushedCount + 1);
    sim = sim.next(isKill ? sim.kill() : sim.powerCut(randomSurvival(random, 512), lost));
    await sim.ready();
  }
  return await judgeUploads(sim, uploads, wasCut);
}

async function sendSome(
  sim: SimStore,
  uploads: readonly KnownUpload[],
  random: Random,
): Promise<void> {
  for (let step = 0; step < stepsMax && !sim.calls.isOff; step++) {
    const upload = uploads[random.below(uploads.length)];
    if (upload === undefined) continue;
    const body = random.bytes(random.below(partBytesMax));
    // A failure leaves the part in doubt, which is noted.
    await putPart(sim, upload, random.below(numbersMax), body).catch(() => {});
  }
}

/** After kills alone everything acknowledged is there. After a power cut it is there whole, or the client is told. */
async function judgeUploads(
  sim: SimStore,
  uploads: readonly KnownUpload[],
  wasCut: boolean,
): Promise<string | null> {
  for (const upload of uploads) {
    const expected = possible(upload);
    try {
      await completeUpload(sim, upload);
    } catch (error) {
      const { code } = asFault(error);
      const isTold = code === "missing" || code === "badRequest";
      if (isTold && (wasCut || upload.parts.size === 0)) continue;
      return `completing ${upload.key} failed with ${code}: ${String(error)}`;
    }
    const found = await readKey(sim, upload.key);
    if (found === null || !expected.some((one) => Buffer.compare(one, found) === 0)) {
      return `${upload.key} has ${found?.length ?? "no"} bytes, which nobody sent in this order`;
    }
  }
  return null;
}

import { artifactLayers, drawLayered } from "./action-blobs.ts";
import { openLoadConnection } from "./load-client.ts";
import { cleanRequest, getRequest, type LoadKey, putRequest, readFound } from "./load-surface.ts";
import { repeat, type SoakStage } from "./soak-actor.ts";

const answerMsMax = 60_000;
const keysPerLane = 100;
const keyValueBytesMax = 64 * 1024;
/** Of a thousand steps; the rest reads. */
const share = { put: 450, cut: 30, clean: 4 };
const surfaces = ["xcode", "gradle", "keyvalue", "nx", "metro"] as const;

/** What a lane knows of a key of its own: numbers of bodies that a read may bring, the last one put last. */
type Known = { readonly key: LoadKey; allowed: number[] };

/**
 * One client that puts, replaces, reads, cuts its uploads and cleans, in a namespace of its own, so that it knows what
 * every read may bring: what it wrote last, or a miss, and never what was replaced or cleaned before.
 */
export async function soakArtifacts(stage: SoakStage, lane: number): Promise<void> {
  const connection = openLoadConnection(stage.node.port, answerMsMax);
  const artifacts = new LaneArtifacts(stage, lane);
  try {
    await repeat(stage, async () => {
      const draw = stage.random.below(1_000);
      if (draw < share.put) await artifacts.put(connection);
      else if (draw < share.put + share.cut) await artifacts.cut(connection);
      else if (draw < share.put + share.cut + share.clean) await artifacts.clean(connection);
      else await artifacts.read(connection);
    });
  } finally {
    connection.close();
  }
}

type Connection = ReturnType<typeof openLoadConnection>;

class LaneArtifacts {
  readonly #stage: SoakStage;
  readonly #lane: number;
  readonly #known = new Map<number, Known>();
  #bodyCount = 0;

  constructor(stage: SoakStage, lane: number) {
    this.#stage = stage;
    this.#lane = lane;
  }

  async put(connection: Connection): Promise<void> {
    const known = this.#draw();
    const { number, body } = this.#nextBody(known.key);
    const isChunked = this.#stage.random.below(4) === 0;
    const { request } = putRequest(known.key, body, { isChunked });
    const answer = await connection.exchange(request);
    if (answer.at === "lost" || answer.status >= 300) {
      const said = answer.at === "lost" ? answer.reason : answer.status;
      throw new Error(`A put of ${known.key.surface} was answered ${said}`);
    }
    // A blob that is there stays as it is; one that was evicted meanwhile is stored anew.
    known.allowed = known.key.surface === "keyvalue" ? [number] : [...known.allowed, number];
    this.#stage.counts.add("put");
  }

  /** The client goes away in the middle of its body. */
  async cut(connection: Connection): Promise<void> {
    const { key } = this.#draw();
    const { body } = this.#nextBody(key);
    const cutAfterBytes = this.#stage.random.below(body.length);
    await connection.exchange(putRequest(key, body, { cutAfterBytes }).request);
    this.#stage.counts.add("cut upload");
  }

  async clean(connection: Connection): Promise<void> {
    const answer = await connection.exchange(cleanRequest(this.#namespace));
    if (answer.at === "lost" || answer.status !== 204)
      throw new Error("A clean was not answered 204");
    for (const known of this.#known.values()) {
      if (known.key.namespace === this.#namespace) known.allowed = [];
    }
    this.#stage.counts.add("clean");
  }

  async read(connection: Connection): Promise<void> {
    const { key, allowed } = this.#draw();
    const answer = await connection.exchange(getRequest(key));
    const found = readFound(key, answer);
    if (found.at === "failed") throw new Error(`A read of ${key.surface} failed: ${found.reason}`);
    this.#stage.counts.add(found.value === null ? "miss" : "hit");
    if (found.value === null || answer.at === "lost") return;
    const bytes = key.surface === "keyvalue" ? contentOf(answer.body) : answer.body;
    const { bodies } = this.#stage;
    const number = bodies.numberOf(bytes);
    if (allowed.includes(number) && bodies.isRight(number, bytes)) return;
    throw new Error(`${key.surface} ${key.index} brings body ${number}, it may bring ${allowed}`);
  }

  get #namespace(): string {
    return `soak${this.#lane}`;
  }

  #draw(): Known {
    const place = this.#stage.random.below(keysPerLane);
    const known = this.#known.get(place);
    if (known !== undefined) return known;
    const surface = surfaces[place % surfaces.length]!;
    const isFixed = surface === "nx" || surface === "metro";
    const namespace = isFixed ? surface : this.#namespace;
    const key = { surface, namespace, index: this.#lane * keysPerLane + place };
    const fresh: Known = { key, allowed: [] };
    this.#known.set(place, fresh);
    return fresh;
  }

  #nextBody(key: LoadKey): { number: number; body: Buffer } {
    const number = this.#lane * 1e9 + this.#bodyCount++;
    const drawnBytes = drawLayered(this.#stage.random, artifactLayers);
    const isKeyValue = key.surface === "keyvalue";
    const sizeBytes = isKeyValue ? Math.min(drawnBytes, keyValueBytesMax) : drawnBytes;
    return { number, body: this.#stage.bodies.make(number, sizeBytes) };
  }
}

/** The content that `putRequest` put into a document. */
function contentOf(body: Uint8Array): Uint8Array {
  const document = JSON.parse(Buffer.from(body).toString()) as { entries: { value: string }[] };
  return Buffer.from(document.entries[0]?.value ?? "", "base64");
}

import { MiB, second } from "../base/units.ts";

/** Refusing writes has this long to bring memory down. The longest wait of an upload for its memory is as long. */
const helpMsMax = 30 * second;
/** Less than this is no help. */
const helpBytesMin = 4 * MiB;
/** Of the hard mark: what may come on top before writes are refused again. */
const slackShare = 1 / 16;

/**
 * Refuses writes while memory is critical, unless that does not help. What others in the control group hold, or what the
 * collector does not give back, is not lowered by refusing writes, however long: a node that did would never take one
 * again. So after half a minute without any effect they are let in while memory stays about where it is.
 * @source storage-and-mesh.md 7.2, I-15, and 6.3, M-2.
 */
export class WriteGate {
  readonly #slackBytes: number;
  #isShut = false;
  #lowestBytes = 0;
  #lowestAtMs = 0;
  /** Writes are let in up to here although memory is critical; null while that was not found to be needed. */
  #bearableBytes: number | null = null;

  constructor(hardBytes: number) {
    this.#slackBytes = slackShare * hardBytes;
  }

  get isShut(): boolean {
    return this.#isShut;
  }

  /** Memory is critical and so much is in use. */
  look(usedBytes: number, nowMs: number): void {
    const bearableBytes = this.#bearableBytes;
    if (bearableBytes !== null && usedBytes <= bearableBytes) return;
    const isHelping = usedBytes <= this.#lowestBytes - helpBytesMin;
    if (!this.#isShut || isHelping) {
      this.#isShut = true;
      this.#bearableBytes = null;
      this.#lowestBytes = usedBytes;
      this.#lowestAtMs = nowMs;
    } else if (nowMs - this.#lowestAtMs >= helpMsMax) {
      this.#isShut = false;
      this.#bearableBytes = usedBytes + this.#slackBytes;
    }
  }

  /** Memory is not critical any more. */
  open(): void {
    this.#isShut = false;
    this.#bearableBytes = null;
  }
}

import type { ArtifactKind } from "../../catalog/kinds.ts";
import { type HeaderBlock, headerBlock } from "../../wire/http1/answer.ts";

/** The headers that all artifacts of a kind go out with, made once for each kind. */
export class ArtifactHeaders {
  readonly #region: string;
  readonly #blocks = new Map<ArtifactKind, HeaderBlock>();

  constructor(region: string) {
    this.#region = region;
  }

  of(kind: ArtifactKind): HeaderBlock {
    const known = this.#blocks.get(kind);
    if (known !== undefined) return known;
    const block = headerBlock({
      "content-type": kind.contentType,
      "content-disposition": "attachment",
      "accept-ranges": "bytes",
      "x-kura-region": this.#region,
    });
    this.#blocks.set(kind, block);
    return block;
  }
}

import { sleep } from "../../base/clock.ts";
import { asFault } from "../../base/fault.ts";
import { bodyBytesPerSecondMin } from "../../base/limits.ts";
import { MiB, minute, second } from "../../base/units.ts";
import { reapiBlob } from "../../catalog/kinds.ts";
import { nameBlob } from "../../catalog/reapi.ts";
import { quoteText } from "../../catalog/text.ts";
import type { ArtifactName, Scope } from "../../store/identity.ts";
import type { Call, Incoming } from "../../wire/grpc/method.ts";
import { GrpcFailure } from "../../wire/grpc/status.ts";
import { encodeWriteResponse, type WriteRequest } from "../../wire/proto/byte-stream-messages.ts";
import { resultOf } from "../http/upload.ts";
import { blobPlace, commitBlob, isEmpty, vouchForBlob } from "./blobs.ts";
import { countWrite } from "./counts.ts";
import { IncomingBlob } from "./incoming-blob.ts";
import { scopeOf } from "./instance.ts";
import { coderWaitMsMax } from "./limits.ts";
import { bad, takeFor } from "./requests.ts";
import { parseUpload, type Resource } from "./resource-name.ts";
import type { GrpcSurface } from "./surface.ts";
import { CompressedBody, PlainBody, type UploadBody } from "./upload-body.ts";
import type { UploadKey } from "./uploads.ts";
import { BlobIsHere, WatchedUpload } from "./watched-upload.ts";
import { decoderBytes } from "./zstd-decoder.ts";

/** What a client that has sent its last message may take to end its side. */
const endMsMax = 50;
/**
 * How long an upload may be waited for, beside what its bytes take at the least rate: each of a hundred that share a line
 * of 1 Mbit/s may stay below that rate.
 */
const awaitedMsMin = 5 * minute;
/** A blob can come by other ways than gRPC meanwhile: looked for after so many bytes. */
const lookAgainBytes = 4 * MiB;

/**
 * Takes a blob. One that is here already, or that somebody else finishes meanwhile, ends the call early with its size.
 * What came of an upload that breaks off is kept for a while, and the client can go on with it.
 * @source Remote Execution API v2, ByteStream; surfaces.md 5.7.
 */
export async function writeByteStream(
  surface: GrpcSurface,
  call: Call,
  incoming: Incoming,
): Promise<Uint8Array> {
  const { uploads, clock } = surface;
  const watched = new WatchedUpload(incoming, () => clock.monotonicMs());
  uploads.watch(watched);
  let write: Write | null = null;
  try {
    const first = await watched.next();
    if (first === null) throw bad("Cannot write: the call has no message");
    write = new Write({ surface, call, watched, first });
    return await write.run(first);
  } catch (error) {
    const result = error instanceof GrpcFailure ? "rejected" : resultOf(error);
    countWrite(surface, call, { kind: reapiBlob, result, bytes: 0 });
    throw error;
  } finally {
    try {
      await write?.end();
    } finally {
      uploads.forget(watched, write?.key ?? null);
      watched.end();
    }
  }
}

type Parts = {
  readonly surface: GrpcSurface;
  readonly call: Call;
  readonly watched: WatchedUpload;
  readonly first: WriteRequest;
};

/** One call that brings a blob. */
class Write {
  readonly #surface: GrpcSurface;
  readonly #call: Call;
  readonly #watched: WatchedUpload;
  /** Of the first message; without its data, which is not kept. */
  readonly #resourceName: string;
  readonly #startBytes: number;
  readonly #upload: Resource & { readonly uploadId: string };
  readonly #scope: Scope;
  readonly #name: ArtifactName;
  readonly key: UploadKey;
  #body: UploadBody | null = null;
  /** The client went away, or stopped sending, before its blob was whole. */
  #isBrokenOff = false;

  /** @throws Fault "badRequest" for a name of another form, or a blob that is too large. */
  constructor({ surface, call, watched, first }: Parts) {
    this.#surface = surface;
    this.#call = call;
    this.#watched = watched;
    this.#resourceName = first.resourceName;
    this.#startBytes = first.writeOffset;
    this.#upload = parseUpload(first.resourceName);
    this.#scope = scopeOf(surface, this.#upload.instanceName);
    const { digestFunction, hash, sizeBytes } = this.#upload.digest;
    const { blobBytesMax } = surface.config;
    if (sizeBytes > blobBytesMax) {
      throw bad(`Cannot store ${hash}: ${sizeBytes} bytes exceed the limit of ${blobBytesMax}`);
    }
    watched.awaitedMsMax = awaitedMsMin + (sizeBytes * second) / bodyBytesPerSecondMin;
    this.#name = nameBlob(this.#scope, digestFunction, hash);
    this.key = uploadKey(this.#scope, this.#upload, this.#name);
  }

  async run(first: WriteRequest): Promise<Uint8Array> {
    if (this.#isHere()) return this.#exists();
    this.#surface.status.memory.admitWrite();
    try {
      this.#body = await this.#begin();
      const body = this.#body;
      const { uploads } = this.#surface;
      uploads.name(this.#watched, this.key, () => body.blob.receivedBytes);
      await this.#receive(body, first);
      uploads.forget(this.#watched, this.key);
      return await this.#commit(body);
    } catch (error) {
      if (error instanceof BlobIsHere) return this.#exists();
      const { code } = asFault(error);
      if (code === "clientClosed" || code === "timeout") this.#isBrokenOff = true;
      throw error;
    }
  }

  /** Keeps what came of an upload that broke off, and removes what came of any other. Never throws. */
  async end(): Promise<void> {
    const body = this.#body;
    if (body === null) return;
    this.#body = null;
    await body.stop();
    if (!this.#isBrokenOff) {
      body.blob[Symbol.dispose]();
      return;
    }
    const { uploads, log } = this.#surface;
    try {
      await uploads.keep(this.#watched, this.key, body.blob);
    } catch (error) {
      log.warn("What came of an upload that broke off cannot be kept", { error: asFault(error) });
    }
  }

  /** The first offset says whether the client goes on with an upload; it counts bytes of the blob itself. */
  async #begin(): Promise<UploadBody> {
    const { uploads } = this.#surface;
    const { digest, compressor } = this.#upload;
    const writeOffset = this.#startBytes;
    let blob: IncomingBlob | null = null;
    if (writeOffset > 0) {
      await uploads.takeOver(this.key.upload);
      // What was taken over may have been at its end.
      if (this.#isHere()) throw new BlobIsHere();
      blob = uploads.takeKept(this.key.upload, writeOffset);
      // Compressed bytes have no place in the blob, so none of them can be passed over.
      if (blob !== null && compressor === "zstd" && blob.receivedBytes !== writeOffset) {
        const body = new PlainBody(blob, writeOffset);
        this.#isBrokenOff = true;
        this.#body = body;
        uploads.name(this.#watched, this.key, () => body.blob.receivedBytes);
        throw bad(
          `Cannot go on with the upload at byte ${writeOffset}: ${blob.receivedBytes} bytes are here`,
        );
      }
      if (blob === null) {
        const count = uploads.receivedBytes(this.key.upload) ?? 0;
        throw bad(`Cannot go on with the upload at byte ${writeOffset}: ${count} bytes are here`);
      }
    } else {
      uploads.drop(this.key.upload);
      const deps = { ...this.#surface, makeRoom: () => uploads.dropAll() };
      blob = await IncomingBlob.begin(deps, digest, () => this.#call.signal);
    }
    blob.onRoomWait = (isWaiting) => this.#watched.setAside(isWaiting);
    if (compressor === "zstd") return await this.#decoded(blob);
    return new PlainBody(blob, writeOffset);
  }

  async #decoded(blob: IncomingBlob): Promise<UploadBody> {
    const { coders } = this.#surface;
    try {
      await takeFor(this.#call, coders, { bytes: decoderBytes, withinMs: coderWaitMsMax });
    } catch (error) {
      blob[Symbol.dispose]();
      throw error;
    }
    return new CompressedBody(blob, coders);
  }

  async #receive(body: UploadBody, first: WriteRequest): Promise<void> {
    let looksAtBytes = lookAgainBytes;
    let request: WriteRequest | null = first;
    for (;;) {
      if (request === null) throw this.#unfinished(body);
      this.#check(request, body.offsetBytes);
      const added = body.add(request.data);
      if (added !== null) await added;
      if (request.finishWrite) return;
      if (body.wireBytes >= looksAtBytes) {
        looksAtBytes = body.wireBytes + lookAgainBytes;
        if (this.#isHere()) throw new BlobIsHere();
      }
      const next = this.#watched.next();
      request = next instanceof Promise ? await next : next;
    }
  }

  #unfinished({ blob }: UploadBody): Error {
    this.#isBrokenOff = true;
    const { hash, sizeBytes } = blob.digest;
    return bad(
      `Cannot store ${hash}: the upload ended after ${blob.receivedBytes} of ${sizeBytes} bytes without finish_write`,
    );
  }

  #check({ resourceName, writeOffset }: WriteRequest, offsetBytes: number): void {
    const name = this.#resourceName;
    if (resourceName !== "" && resourceName !== name) {
      throw bad(
        `Cannot go on with the upload: it began as ${quoteText(name)} and is ${quoteText(resourceName)} now`,
      );
    }
    if (writeOffset !== offsetBytes) {
      throw bad(
        `Cannot go on with the upload at byte ${writeOffset}: ${offsetBytes} bytes are here`,
      );
    }
  }

  async #commit(body: UploadBody): Promise<Uint8Array> {
    const surface = this.#surface;
    const { digest } = this.#upload;
    const ended = this.#watched.expectEnd();
    await body.finish();
    const bytes = await body.blob.finish(this.#name, () => this.#call.signal);
    const outcome = await commitBlob(surface, this.#name, { digest, body: bytes });
    // Clients end their side with the last message or right behind it; one that does not is not waited for.
    if (!this.#watched.hasEnded) await Promise.race([ended, sleep(surface.clock, endMsMax)]);
    if (this.#watched.hasMore) {
      throw bad(`Cannot end the upload of ${digest.hash}: more came behind finish_write`);
    }
    const isStored = outcome.at === "stored";
    const result = isStored ? "ok" : "exists";
    countWrite(surface, this.#call, {
      kind: reapiBlob,
      result,
      bytes: isStored ? digest.sizeBytes : 0,
    });
    return encodeWriteResponse(body.offsetBytes);
  }

  #isHere(): boolean {
    const { digest } = this.#upload;
    return isEmpty(digest) || vouchForBlob(this.#surface, this.#scope, digest);
  }

  /** Nobody knows how long the rest of a compressed upload would have been. */
  #exists(): Uint8Array {
    countWrite(this.#surface, this.#call, { kind: reapiBlob, result: "exists", bytes: 0 });
    const { compressor, digest } = this.#upload;
    return encodeWriteResponse(compressor === "zstd" ? -1 : digest.sizeBytes);
  }
}

/** What an upload, and its blob, are known by to other calls. */
export function uploadKey(
  { tenant, namespace }: Scope,
  { digest, compressor, uploadId }: Resource,
  name: ArtifactName,
): UploadKey {
  const { hash, sizeBytes } = digest;
  return {
    upload: [tenant, namespace, uploadId, compressor, hash, sizeBytes].join("\0"),
    blob: blobPlace(name),
  };
}

import { encodeHeaders } from "../http2/hpack-encoder.ts";
import type { HeaderField } from "../http2/hpack-table.ts";
import { encodeStatus, type GrpcStatus, grpcCodes } from "./status.ts";

/** A message may quote a request. Most clients take 8 KiB of headers, and each byte may need three characters. */
const messageCharsMax = 512;

const answerFields: readonly HeaderField[] = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];

/** Header blocks that are the same for every call. */
export const answerHeaders = encodeHeaders(answerFields);
export const okTrailers = encodeHeaders([["grpc-status", String(grpcCodes.ok)]]);

/** The trailers of a call that has sent headers. */
export function trailersOf(status: GrpcStatus): Uint8Array {
  return status.code === grpcCodes.ok ? okTrailers : encodeHeaders(fieldsOf(status));
}

/** The only headers of a call that sends nothing else. */
export function trailersOnly(status: GrpcStatus): Uint8Array {
  // Asked for with a refusal of compressed messages, and right with any other.
  const accepted: readonly HeaderField[] =
    status.code === grpcCodes.unimplemented ? [["grpc-accept-encoding", "identity"]] : [];
  return encodeHeaders([...answerFields, ...accepted, ...fieldsOf(status)]);
}

function fieldsOf(status: GrpcStatus): HeaderField[] {
  // A space at its end would make it malformed. @source RFC 9113, section 8.2.1.
  const message = status.message.slice(0, messageCharsMax).toWellFormed().trim();
  const fields: HeaderField[] = [
    ["grpc-status", String(status.code)],
    ["grpc-message", percentEncode(message)],
  ];
  if (status.retryAfterMs !== null) {
    const details = Buffer.from(encodeStatus({ ...status, message }))
      .toString("base64")
      .replaceAll("=", "");
    fields.push(["grpc-status-details-bin", details]);
  }
  return fields;
}

/** @source gRPC over HTTP/2, "Percent-Encoded": printable ASCII but the percent sign stays. */
function percentEncode(text: string): string {
  let encoded = "";
  for (const byte of Buffer.from(text)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += isPlain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** @source RFC 9113, section 7. */
export const errorCodes = {
  noError: 0x0,
  protocolError: 0x1,
  internalError: 0x2,
  flowControlError: 0x3,
  settingsTimeout: 0x4,
  streamClosed: 0x5,
  frameSizeError: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compressionError: 0x9,
  connectError: 0xa,
  enhanceYourCalm: 0xb,
  inadequateSecurity: 0xc,
  http11Required: 0xd,
} as const;
export type ErrorCode = (typeof errorCodes)[keyof typeof errorCodes];

/** What the other side did ends the whole connection. */
export class ConnectionFailure extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.name = "ConnectionFailure";
    this.code = code;
  }
}

/** What the other side did ends one stream. */
export class StreamFailure extends Error {
  readonly code: ErrorCode;
  readonly streamId: number;

  constructor(code: ErrorCode, streamId: number, message: string) {
    super(message);
    this.name = "StreamFailure";
    this.code = code;
    this.streamId = streamId;
  }
}

/** @source RFC 9113, section 6. */
export const frameTypes = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

export const frameFlags = {
  endStream: 0x1,
  ack: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

export const settingIds = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
} as const;

export const frameHeaderBytes = 9;
/** What both sides take until they are told more, and what we take always. @source RFC 9113, section 4.2. */
export const frameBytesMax = 16_384;
export const largestFrameBytes = 2 ** 24 - 1;
/** Flow control begins with this. @source RFC 9113, section 6.9.2. */
export const firstWindowBytes = 65_535;
export const windowBytesMax = 2 ** 31 - 1;
export const streamIdMax = 2 ** 31 - 1;

/** What a client sends first. @source RFC 9113, section 3.4. */
export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

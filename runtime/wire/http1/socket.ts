/** The part of Bun's socket that the engine uses. */
export type Socket = {
  /** Missing from the types of Bun 1.4.5, and there all the same. */
  readonly fd?: number;
  /** All of `bytes` or a stretch of it. Returns the bytes taken, fewer than given when the socket is full; negative when it is closed. */
  write(bytes: Uint8Array, startBytes?: number, lengthBytes?: number): number;
  /** Sends our end of the connection; the other side may go on. */
  shutdown(): void;
  end(): void;
  /** Closes at once, both sides. */
  terminate(): void;
  pause(): void;
  resume(): void;
  setNoDelay(isOn: boolean): boolean;
};

/** Methods of Bun's and Node's buffers that skip the choice of an encoding; their types leave them out. */
type Latin1Buffer = Buffer & {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, at: number): number;
};

/** Bytes as text of one character a byte. */
export function readLatin1(bytes: Buffer, start: number, end: number): string {
  return (bytes as Latin1Buffer).latin1Slice(start, end);
}

/** Returns how many bytes were written: fewer than the text has when the buffer ends before. */
export function writeLatin1(into: Buffer, text: string, at: number): number {
  return (into as Latin1Buffer).latin1Write(text, at);
}

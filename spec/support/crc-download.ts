import { crc32 } from "../../runtime/base/digest.ts";
import { KiB } from "../../runtime/base/units.ts";

const headBytesMax = 64 * KiB;

export type CrcDownload = {
  readonly status: number;
  readonly sizeBytes: number;
  readonly crc: number;
};

/** Reads one artifact as fast as it comes, and keeps none of it. Rejects when the connection ends before the body. */
export function downloadCrc(port: number, target: string): Promise<CrcDownload> {
  const { promise, resolve, reject } = Promise.withResolvers<CrcDownload>();
  let head = Buffer.alloc(0);
  let status = 0;
  let sizeBytes = -1;
  let leftBytes = -1;
  let crc = 0;
  const take = (bytes: Buffer): void => {
    crc = crc32(bytes, crc);
    leftBytes -= bytes.length;
  };
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => {
        socket.write(`GET ${target} HTTP/1.1\r\nHost: kura.test\r\n\r\n`);
      },
      data(socket, bytes) {
        if (sizeBytes < 0) {
          head = Buffer.concat([head, bytes]);
          const end = head.indexOf("\r\n\r\n");
          if (end < 0 && head.length < headBytesMax) return;
          const text = head.toString("latin1", 0, end);
          status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1]);
          sizeBytes = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? 0);
          leftBytes = sizeBytes;
          take(head.subarray(end + 4));
        } else take(bytes);
        if (leftBytes > 0) return;
        resolve({ status, sizeBytes, crc });
        socket.terminate();
      },
      close: () => reject(new Error(`The download ended ${leftBytes} bytes too early`)),
      error: (_, error) => reject(error),
    },
  }).catch(reject);
  return promise;
}

import { ConnectionFailure, errorCodes } from "./failure.ts";
import {
  firstWindowBytes,
  frameBytesMax,
  largestFrameBytes,
  settingIds,
  windowBytesMax,
} from "./frames.ts";

const settingBytes = 6;
/** What its table begins with. We never add to it, so it is empty whatever its size. */
const headerTableBytes = 4_096;

/** What the client has told of itself. @source RFC 9113, section 6.5.2. */
export class PeerSettings {
  initialWindowBytes = firstWindowBytes;
  frameBytesMax = frameBytesMax;
  /**
   * It has made the table of our headers smaller, and waits to be told that we know. @source RFC 7541, section 4.2.
   */
  awaitsTableUpdate = false;
  #hasTable = true;

  /**
   * Takes the payload of a SETTINGS frame; returns by how much the windows of all streams change.
   * @throws ConnectionFailure for a value that none may have.
   */
  take(payload: Uint8Array): number {
    if (payload.length % settingBytes !== 0) {
      throw new ConnectionFailure(errorCodes.frameSizeError, "A setting has 6 bytes");
    }
    const before = this.initialWindowBytes;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    for (let at = 0; at < payload.length; at += settingBytes) {
      this.#set(view.getUint16(at), view.getUint32(at + 2));
    }
    return this.initialWindowBytes - before;
  }

  #set(id: number, value: number): void {
    switch (id) {
      case settingIds.headerTableSize:
        if (this.#hasTable && value < headerTableBytes) {
          this.#hasTable = false;
          this.awaitsTableUpdate = true;
        }
        break;
      case settingIds.enablePush:
        if (value > 1) throw wrong(errorCodes.protocolError, "ENABLE_PUSH", value);
        break;
      case settingIds.initialWindowSize:
        if (value > windowBytesMax) {
          throw wrong(errorCodes.flowControlError, "INITIAL_WINDOW_SIZE", value);
        }
        this.initialWindowBytes = value;
        break;
      case settingIds.maxFrameSize:
        if (value < frameBytesMax || value > largestFrameBytes) {
          throw wrong(errorCodes.protocolError, "MAX_FRAME_SIZE", value);
        }
        this.frameBytesMax = value;
        break;
      default:
      // What we do not know is passed over.
    }
  }
}

function wrong(
  code: ConstructorParameters<typeof ConnectionFailure>[0],
  name: string,
  value: number,
): ConnectionFailure {
  return new ConnectionFailure(code, `SETTINGS_${name} cannot be ${value}`);
}

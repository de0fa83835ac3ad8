import type { FaultCode } from "../runtime/base/fault.ts";

/** How a command ends. Scripts and supervisors go by these numbers, so none ever changes its meaning. */
export const exitCodes: Readonly<Record<FaultCode, number>> = {
  locked: 1,
  usage: 64,
  formatTooNew: 65,
  missing: 66,
  portInUse: 69,
  unavailable: 69,
  overloaded: 69,
  dataDirectory: 73,
  full: 73,
  damaged: 74,
  configuration: 78,
  // The rest are answers of a node that a command passes on, or defects.
  badRequest: 64,
  tooLarge: 64,
  rangeInvalid: 64,
  methodNotAllowed: 70,
  unauthorized: 77,
  forbidden: 77,
  mediaType: 64,
  unprocessable: 64,
  checksumMismatch: 74,
  timeout: 75,
  clientClosed: 70,
  internal: 70,
  outcomeUnknown: 75,
};

/** The same numbers for people: the end of `kura --help`. */
export const exitCodeHelp = `Exit codes:
  0   done
  1   another process holds the writer lock of the data directory
  64  the command line is wrong
  65  the data was written by a newer Kura
  66  there is no such artifact
  69  the port is in use, or no node answers
  70  a defect: see the log
  73  the data directory cannot be used
  74  damaged data was found
  75  the outcome is unknown, or it took too long: try again
  77  not allowed
  78  the configuration is wrong`;

import { day, GiB, hour, KiB, MiB, minute, second } from "../base/units.ts";
import { derived, fixed, type Given, type Machine, planned, row } from "./setting.ts";
import { bytes, choice, count, countOrUnlimited, milliseconds } from "./value.ts";

const TiB = 1_024 * GiB;

const soft = "KURA_MEMORY_SOFT_LIMIT_BYTES";
const hard = "KURA_MEMORY_HARD_LIMIT_BYTES";
const pool = "KURA_FILE_DESCRIPTOR_POOL_SIZE";
const writeBufferPool = "KURA_METADATA_STORE_WRITE_BUFFER_POOL_BYTES";
const scratch = "KURA_TMP_DIR_MAX_BYTES";
const writeBuffer = "KURA_METADATA_STORE_WRITE_BUFFER_BYTES";

/** Memory, descriptors, disk and the sizes of bodies. @source seed-facts.md 2 and surfaces.md 8 for the seed's rows. */
export const limitRows = {
  memorySoftBytes: row(
    soft,
    bytes({ min: 16 * MiB, max: 16 * TiB }),
    derived("70 % of detected memory in whole MiB, at least 128 MiB", ({ machine }) =>
      Math.max(128 * MiB, wholeMiB(machine.memoryLimitBytes * 0.7)),
    ),
    "Above it optional memory use is shed.",
  ),
  memoryHardBytes: row(
    hard,
    bytes({ min: 16 * MiB, max: 16 * TiB }),
    derived(`85 % of detected memory in whole MiB, at least ${soft} + 64 MiB`, (given) =>
      Math.max(given.number(soft) + 64 * MiB, wholeMiB(given.machine.memoryLimitBytes * 0.85)),
    ),
    "Above it writes are refused.",
  ),
  memoryPressurePin: row<"auto" | "normal" | "constrained" | "critical">(
    "KURA_MEMORY_PRESSURE_PIN",
    choice(["auto", "normal", "constrained", "critical"]),
    fixed("auto"),
    "Keeps the node in this tier of memory pressure whatever is measured; for tests.",
  ),
  manifestCacheBytesMax: row(
    "KURA_MANIFEST_CACHE_MAX_BYTES",
    bytes({ min: 64 * KiB, max: 64 * GiB }),
    derived(`${soft} / 16, in [8, 64] MiB`, softSixteenth),
    "Rows of the index kept in memory; unless set, 8 MiB of it are used.",
  ),
  bodyCacheBytesMax: row(
    "KURA_BODY_CACHE_MAX_BYTES",
    bytes({ min: 64 * KiB, max: 64 * GiB }),
    derived(`${soft} / 16, in [8, 64] MiB`, softSixteenth),
    "Small bodies kept in memory; unless set, 4 MiB of it are used.",
  ),
  uploadMemoryBytesMax: row(
    "KURA_UPLOAD_MEMORY_BYTES",
    bytes({ min: MiB, max: 64 * GiB }),
    derived(`${hard} - ${soft}, in [16, 512] MiB`, (given) =>
      clamp(given.number(hard) - given.number(soft), { min: 16 * MiB, max: 512 * MiB }),
    ),
    "Memory for requests on their way, uploads above all; it fits between the two marks.",
  ),
  descriptorPoolSize: row(
    pool,
    count({ min: 1, max: 1_048_576 }),
    derived("usable descriptors / 8, in [64, 256]; usable = limit - max(64, limit / 8)", (given) =>
      clamp(usableDescriptors(given.machine) / 8, { min: 64, max: 256 }),
    ),
    "Files open at one time for requests, those kept open for reading among them.",
  ),
  descriptorWaitMsMax: row(
    "KURA_FILE_DESCRIPTOR_ACQUIRE_TIMEOUT_MS",
    milliseconds({ min: 1, max: hour }),
    fixed(5_000),
    "Wait for a descriptor before a request fails.",
  ),
  segmentHandlesMax: row(
    "KURA_SEGMENT_HANDLE_CACHE_SIZE",
    count({ min: 1, max: 1_048_576 }),
    derived(`${pool} / 4, in [16, 64], below the pool`, (given) =>
      Math.max(
        1,
        Math.min(clamp(given.number(pool) / 4, { min: 16, max: 64 }), given.number(pool) - 1),
      ),
    ),
    "Segment files kept open for reading.",
  ),
  indexOpenFilesMax: planned(
    "KURA_METADATA_STORE_MAX_OPEN_FILES",
    countOrUnlimited(1_048_576),
    derived("usable descriptors / 2, in [128, 1024]", ({ machine }) =>
      clamp(usableDescriptors(machine) / 2, { min: 128, max: 1_024 }),
    ),
    "Descriptors reserved for the index.",
  ),
  indexJobsMax: planned(
    "KURA_METADATA_STORE_MAX_BACKGROUND_JOBS",
    count({ min: 1, max: 64 }),
    derived("CPU count, in [1, 8]", ({ machine }) => clamp(machine.cpuCount, { min: 1, max: 8 })),
    "Jobs of the maintenance Worker at one time.",
  ),
  indexReadCacheBytes: row(
    "KURA_METADATA_STORE_READ_CACHE_BYTES",
    bytes({ min: MiB, max: 64 * GiB }),
    derived("detected memory / 32, in [16, 128] MiB", memoryThirtySecond),
    "Page cache of the index; unless set, 6 MiB of it are used.",
  ),
  indexWriteBufferPoolBytes: row(
    writeBufferPool,
    bytes({ min: MiB, max: 64 * GiB }),
    derived("detected memory / 32, in [16, 128] MiB", memoryThirtySecond),
    "Memory that the write-ahead log is derived from.",
  ),
  indexWriteBufferBytes: row(
    writeBuffer,
    bytes({ min: 64 * KiB, max: 64 * GiB }),
    derived(`${writeBufferPool} / 4, in [4, 32] MiB`, (given) =>
      Math.min(
        clamp(given.number(writeBufferPool) / 4, { min: 4 * MiB, max: 32 * MiB }),
        given.number(writeBufferPool),
      ),
    ),
    "Size of the index's write-ahead log at which commits wait for a checkpoint, 50 ms at most.",
  ),
  indexWriteBuffersMax: planned(
    "KURA_METADATA_STORE_MAX_WRITE_BUFFERS",
    count({ min: 1, max: 1_024 }),
    derived(`${writeBufferPool} / ${writeBuffer}, in [2, 8]`, (given) =>
      clamp(given.number(writeBufferPool) / given.number(writeBuffer), { min: 2, max: 8 }),
    ),
    "Write buffers of the index.",
  ),
  capacityBytes: row(
    "KURA_CAS_CAPACITY_BYTES",
    bytes({ min: MiB, max: 1_024 * TiB }),
    derived(
      "half of the file system of KURA_DATA_DIR; a set value counts up to 80 % of it",
      (given) => Math.max(MiB, wholeMiB(fileSystemBytes(given) / 2)),
    ),
    "Disk space for artifacts.",
  ),
  journalBodyBytesMax: row(
    "KURA_JOURNAL_BODY_MAX_BYTES",
    bytes({ min: 4 * KiB, max: MiB }),
    fixed(MiB),
    "Larger bodies get a file of their own.",
  ),
  tmpBytesMax: row(
    scratch,
    bytes({ min: MiB, max: 1_024 * TiB }),
    fixed(8 * GiB),
    "Disk space for what is not an artifact yet.",
  ),
  multipartUploadsMax: row(
    "KURA_MULTIPART_MAX_ACTIVE_UPLOADS",
    count({ min: 1, max: 100_000 }),
    fixed(128),
    "Uploads in parts that may be open at one time.",
  ),
  multipartUploadMsMax: row(
    "KURA_MULTIPART_UPLOAD_TTL_MS",
    milliseconds({ min: second, max: 30 * day }),
    fixed(day),
    "An upload in parts that is not completed by then is removed.",
  ),
  multipartJanitorMs: row(
    "KURA_MULTIPART_JANITOR_INTERVAL_MS",
    milliseconds({ min: second, max: day }),
    fixed(10 * minute),
    "Pause between two looks for such uploads.",
  ),
  multipartBytesMax: row(
    "KURA_MULTIPART_MAX_STORED_BYTES",
    bytes({ min: MiB, max: 1_024 * TiB }),
    derived(scratch, (given) => given.number(scratch)),
    "Disk space for parts that wait to be completed.",
  ),
  scrubBytesPerSecond: row(
    "KURA_SCRUB_BYTES_PER_SECOND",
    bytes({ min: 0, max: 64 * GiB }),
    fixed(8 * MiB),
    "Rate at which everything that is stored is read in search of damage, a record as 1 KiB at least; 0 switches it off.",
  ),
  scrubCycleMsMin: row(
    "KURA_SCRUB_CYCLE_MIN_MS",
    milliseconds({ min: second, max: 365 * day }),
    fixed(day),
    "Shortest time from the start of one such reading to the start of the next.",
  ),
  leaseBytesMax: row(
    "KURA_LEASE_MAX_BYTES",
    bytes({ min: 64 * KiB, max: 4 * GiB }),
    fixed(16 * MiB),
    "Memory for the leases of what was promised to clients.",
  ),
  keyValueBytesMax: row(
    "KURA_MAX_KEYVALUE_BYTES",
    bytes({ min: 1, max: GiB }),
    fixed(MiB),
    "Largest key-value request.",
  ),
  xcodeBytesMax: row(
    "KURA_MAX_XCODE_BYTES",
    bytes({ min: 1, max: TiB }),
    fixed(256 * MiB),
    "Largest Xcode artifact.",
  ),
  gradleBytesMax: row(
    "KURA_MAX_GRADLE_BYTES",
    bytes({ min: 1, max: TiB }),
    fixed(100 * MiB),
    "Largest Gradle artifact.",
  ),
  nxBytesMax: row(
    "KURA_MAX_NX_BYTES",
    bytes({ min: 1, max: TiB }),
    fixed(2 * GiB),
    "Largest Nx artifact.",
  ),
  metroBytesMax: row(
    "KURA_MAX_METRO_BYTES",
    bytes({ min: 1, max: TiB }),
    fixed(2 * GiB),
    "Largest Metro artifact.",
  ),
  modulePartBytesMax: row(
    "KURA_MAX_MODULE_PART_BYTES",
    bytes({ min: 1, max: GiB }),
    fixed(10 * MiB),
    "Largest part of a module.",
  ),
  moduleBytesMax: row(
    "KURA_MAX_MODULE_BYTES",
    bytes({ min: 1, max: TiB }),
    fixed(2 * GiB),
    "Largest module.",
  ),
  turborepoBytesMax: row(
    "KURA_MAX_TURBOREPO_BYTES",
    bytes({ min: 1, max: TiB }),
    fixed(2 * GiB),
    "Largest Turborepo artifact.",
  ),
  blobBytesMax: row(
    "KURA_MAX_BLOB_BYTES",
    bytes({ min: 1, max: TiB }),
    fixed(2 * GiB),
    "Largest blob of Bazel and the Remote Execution API.",
  ),
  ccacheBytesMax: row(
    "KURA_MAX_CCACHE_BYTES",
    bytes({ min: 1, max: TiB }),
    fixed(100 * MiB),
    "Largest ccache entry.",
  ),
} as const;

/** What is left of the descriptor limit after the reserve for sockets and the index. */
export function usableDescriptors(machine: Machine): number {
  const reserved = Math.max(64, Math.floor(machine.descriptorLimit / 8));
  return Math.max(256, machine.descriptorLimit - reserved);
}

function softSixteenth(given: Given): number {
  return clamp(given.number(soft) / 16, { min: 8 * MiB, max: 64 * MiB });
}

function memoryThirtySecond({ machine }: Given): number {
  return clamp(machine.memoryLimitBytes / 32, { min: 16 * MiB, max: 128 * MiB });
}

function fileSystemBytes(given: Given): number {
  return given.machine.fileSystemBytes(given.text("KURA_DATA_DIR"));
}

function wholeMiB(sizeBytes: number): number {
  return Math.floor(sizeBytes / MiB) * MiB;
}

function clamp(value: number, { min, max }: { min: number; max: number }): number {
  return Math.min(max, Math.max(min, Math.floor(value)));
}

import { cacheBytes, cacheFields } from "./cache-bytes.ts";
import { planMemory, programBytes } from "./memory-plan.ts";
import { classBytes, planRequests } from "./request-memory.ts";
import type { Machine, Source } from "./setting.ts";
import { type Config, type Field, table } from "./table.ts";
import { showBytes } from "./value.ts";

type MemoryInput = {
  readonly config: Config;
  readonly sources: Readonly<Record<Field, Source>>;
  readonly machine: Machine;
  readonly problems: string[];
  readonly warnings: string[];
};

const hard = table.memoryHardBytes.name;
const soft = table.memorySoftBytes.name;

/**
 * Limits that contradict each other, and budgets that do not fit under them: a node with such settings would shed for
 * ever, or be ended by the system. @source storage-and-mesh.md 6.3, M-4.
 */
export function checkMemory(input: MemoryInput): void {
  const { config, machine, problems, warnings } = input;
  const { memorySoftBytes, memoryHardBytes, manifestCacheBytesMax } = config;
  if (memoryHardBytes <= memorySoftBytes) {
    problems.push(
      `${hard}: ${showBytes(memoryHardBytes)} must be more than ${soft} (${showBytes(memorySoftBytes)})`,
    );
  }
  if (memorySoftBytes <= programBytes) {
    problems.push(
      `${soft}: ${showBytes(memorySoftBytes)} must be more than ${showBytes(programBytes)}, which the program itself takes`,
    );
  }
  if (manifestCacheBytesMax >= memorySoftBytes) {
    problems.push(
      `${table.manifestCacheBytesMax.name}: ${showBytes(manifestCacheBytesMax)} must be less than ${soft} (${showBytes(memorySoftBytes)})`,
    );
  }
  if (checkSum(input)) checkMarks(input);
  checkDocuments(input);
  if (memoryHardBytes > machine.memoryLimitBytes) {
    warnings.push(
      `${hard}: ${showBytes(memoryHardBytes)} is more than the ${showBytes(machine.memoryLimitBytes)} of memory found here`,
    );
  }
}

/** What requests hold fits between the marks. What is derived does, down to marks that are hardly apart. */
function checkMarks({ config, sources, problems }: MemoryInput): void {
  const { memoryHardBytes, memorySoftBytes, uploadMemoryBytesMax } = config;
  const roomBytes = memoryHardBytes - memorySoftBytes;
  const isDerived = sources.uploadMemoryBytesMax === "derived";
  if (isDerived || roomBytes <= 0 || uploadMemoryBytesMax <= roomBytes) return;
  problems.push(
    `${table.uploadMemoryBytesMax.name}: ${showBytes(uploadMemoryBytesMax)} must be at most the ${showBytes(roomBytes)} between ${soft} and ${hard}`,
  );
}

function checkDocuments({ config, problems }: MemoryInput): void {
  const { uploadMemoryBytesMax, keyValueBytesMax } = config;
  const { name } = table.uploadMemoryBytesMax;
  const { maxBytes } = classBytes("documents", planRequests(uploadMemoryBytesMax).ledgerBytes);
  if (keyValueBytesMax > maxBytes) {
    problems.push(
      `${table.keyValueBytesMax.name}: ${showBytes(keyValueBytesMax)} must be at most the ${showBytes(maxBytes)} that ${name} (${showBytes(uploadMemoryBytesMax)}) has for documents, because such a request is held in memory whole`,
    );
  }
}

/** Whether all of them together stay below the hard limit. */
function checkSum(input: MemoryInput): boolean {
  const { config, problems } = input;
  const { unsyncedBytes } = planMemory(config.memoryHardBytes);
  const fixedBytes = programBytes + unsyncedBytes;
  const sumBytes =
    cacheFields.reduce((sum, field) => sum + cacheBytes(input, field), fixedBytes) +
    config.uploadMemoryBytesMax +
    config.leaseBytesMax;
  if (sumBytes < config.memoryHardBytes) return true;
  const fields = [...cacheFields, "uploadMemoryBytesMax", "leaseBytesMax"] as const;
  const names = fields.map((field) => table[field].name).join(" + ");
  problems.push(
    `${names}: together ${showBytes(sumBytes)}, with ${showBytes(fixedBytes)} for the program and what waits for the disk, must be less than ${hard} (${showBytes(config.memoryHardBytes)})`,
  );
  return false;
}

import { type Command, Option } from "commander";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import { bytes } from "../../../runtime/config/value.ts";
import { parseLabel, parseSizes, refuse, whole } from "../flag-values.ts";
import { addLengthOptions, addServerOptions, connectionsMax } from "../flags.ts";
import { tailBytes } from "./blobs.ts";
import { type GrpcOperation, grpcOperations } from "./operations.ts";

/** Servers take messages of 4 MiB; the fields around the data need some of them. */
const pieceBytesMax = 4 * MiB - 16 * KiB;
const examples = `
Examples:
  kura bench grpc
  kura bench grpc --operations Read,Write --sizes 128KiB --concurrency 32 --duration 30s --rounds 3
  kura bench grpc --url grpc://127.0.0.1:9092 --json > figures.json
  kura bench grpc --set KURA_GRPC_ENGINE=grpc-js --operations GetActionResult

A result names 10 blobs, a search 100, all of them present; batches have one blob of 1 KiB. What is written is new each
time. CPU is user and system time of the server's processes until they are quiet again, divided by the good answers of
the cell. Server and load are pinned to different cores when this command starts the server.`;

/** The flags of `kura bench grpc`. */
export function addGrpcOptions(command: Command): void {
  addServerOptions(command, "address of a running server (grpc:// or http://)", parseGrpcUrl);
  command
    .addOption(
      new Option("--operations <list>", "calls that are measured, each in a cell of its own")
        .argParser(parseOperations)
        .default(undefined, grpcOperations.join(",")),
    )
    .addOption(
      new Option("--sizes <list>", "sizes of blobs for Read and Write")
        .argParser(parseBlobSizes)
        .default(undefined, "128KiB,1MiB,64MiB"),
    )
    .addOption(
      new Option("--piece <size>", "data in one message of a Write")
        .argParser(parsePiece)
        .default(64 * KiB, "64KiB"),
    )
    .addOption(
      new Option("--concurrency <n>", "calls in flight over all connections")
        .argParser(whole({ min: 1, max: connectionsMax }))
        .default(undefined, "32 up to 1 MiB, 8 above"),
    )
    .addOption(
      new Option("--connections <n>", "connections that share the calls")
        .argParser(whole({ min: 1, max: connectionsMax }))
        .default(4),
    )
    .option("--instance <name>", "instance name of the calls", parseLabel, "bench");
  addLengthOptions(command);
  command.addHelpText("after", examples);
}

function parseOperations(text: string): GrpcOperation[] {
  return text.split(",").map((part) => {
    const wanted = part.trim().toLowerCase();
    const found = grpcOperations.find((name) => name.toLowerCase() === wanted);
    return found ?? refuse(`It takes ${grpcOperations.join(", ")}, with commas between.`);
  });
}

function parseBlobSizes(text: string): number[] {
  const sizes = parseSizes(text);
  if (sizes.some((sizeBytes) => sizeBytes <= tailBytes)) {
    refuse(`A blob has more than ${tailBytes} bytes: the last ones tell it from others.`);
  }
  return sizes;
}

function parsePiece(text: string): number {
  const kind = bytes({ min: 1, max: pieceBytesMax });
  return kind.parse(text) ?? refuse(`It takes one size: ${kind.range}.`);
}

function parseGrpcUrl(text: string): string {
  const match = /^(?:grpc|http):\/\/([^/?#@]+)\/?$/.exec(text);
  if (match === null || !URL.canParse(`http://${match[1]}`)) {
    refuse("It takes an address such as grpc://127.0.0.1:9092, without a path.");
  }
  return `grpc://${match[1]}`;
}

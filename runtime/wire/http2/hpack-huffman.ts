import { assert } from "../../base/assert.ts";

/**
 * The Huffman code of HPACK. It is canonical: codes of one length count up with their symbols, so the lengths say it
 * all. One line for 16 symbols; symbol 256 ends a string and must not appear.
 * @source RFC 7541, appendix B.
 */
const lengths = [
  [13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
  [28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  [6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
  [5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  [13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  [7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  [15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
  [6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  [20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
  [24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  [22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
  [21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  [26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  [19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  [20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
  [26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  [30],
].flat();

const endSymbol = 256;
const bitsMax = 30;

/**
 * A machine that takes four bits at a time. A state is a node of the code's tree; a step leads to the next one and
 * gives at most one symbol, since no code is shorter than five bits.
 * Entry: next state, plus `emits` with the symbol above bit 16, or `fails`.
 */
const fails = 0xffff_ffff;
const emits = 1 << 15;
const steps = buildSteps();

function buildSteps(): Uint32Array {
  const { children, symbols } = buildTree();
  const count = children.length / 2;
  const table = new Uint32Array(count * 16);
  for (let state = 0; state < count; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      table[state * 16 + nibble] = walk({ children, symbols }, state, nibble);
    }
  }
  return table;
}

type Tree = {
  /** Two entries a node: 0 for none, a node, or a negative place in `symbols`. */
  readonly children: number[];
  readonly symbols: number[];
};

function buildTree(): Tree {
  assert(lengths.length === endSymbol + 1, "each symbol has a length");
  const tree: Tree = { children: [0, 0], symbols: [] };
  let code = 0;
  for (let length = 1; length <= bitsMax; length++) {
    code *= 2;
    for (const [symbol, each] of lengths.entries()) {
      if (each !== length) continue;
      addCode(tree, { code, length, symbol });
      code += 1;
    }
  }
  assert(code === 2 ** bitsMax, "the code is complete");
  return tree;
}

function addCode(
  { children, symbols }: Tree,
  { code, length, symbol }: { code: number; length: number; symbol: number },
): void {
  let node = 0;
  for (let bit = length - 1; bit > 0; bit--) {
    const at = node * 2 + ((code >>> bit) & 1);
    if (children[at] === 0) {
      children[at] = children.length / 2;
      children.push(0, 0);
    }
    node = children[at] ?? 0;
  }
  symbols.push(symbol);
  children[node * 2 + (code & 1)] = -symbols.length;
}

function walk({ children, symbols }: Tree, state: number, nibble: number): number {
  let node = state;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const child = children[node * 2 + ((nibble >>> bit) & 1)] ?? 0;
    if (child > 0) {
      node = child;
      continue;
    }
    const symbol = symbols[-child - 1] ?? endSymbol;
    if (symbol === endSymbol) return fails;
    emitted = emits | (symbol << 16);
    node = 0;
  }
  return (emitted | node) >>> 0;
}

/** States in which a string may end: up to seven ones behind the last symbol, which begin the code of the end. */
const acceptingStates = buildAccepting();

function buildAccepting(): ReadonlySet<number> {
  const { children } = buildTree();
  const accepting = new Set<number>([0]);
  let node = 0;
  for (let i = 0; i < 7; i++) {
    node = children[node * 2 + 1] ?? 0;
    accepting.add(node);
  }
  return accepting;
}

/** The shortest code has five bits. */
const charsPerByteMax = 8 / 5;
let scratch = Buffer.allocUnsafeSlow(4_096);

/** The text of encoded bytes, one character a byte; null when they are no such encoding. */
export function decodeHuffman(
  bytes: Uint8Array,
  startBytes: number,
  endBytes: number,
): string | null {
  const charsMax = Math.ceil((endBytes - startBytes) * charsPerByteMax);
  if (scratch.length < charsMax) scratch = Buffer.allocUnsafeSlow(charsMax * 2);
  let state = 0;
  let length = 0;
  for (let at = startBytes; at < endBytes; at++) {
    const byte = bytes[at]!;
    let step = steps[state * 16 + (byte >>> 4)]!;
    if (step === fails) return null;
    if ((step & emits) !== 0) scratch[length++] = step >>> 16;
    step = steps[(step & 0x7fff) * 16 + (byte & 15)]!;
    if (step === fails) return null;
    if ((step & emits) !== 0) scratch[length++] = step >>> 16;
    state = step & 0x7fff;
  }
  return acceptingStates.has(state) ? scratch.toString("latin1", 0, length) : null;
}

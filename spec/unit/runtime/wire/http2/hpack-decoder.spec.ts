import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../../runtime/base/random.ts";
import { HpackDecoder } from "../../../../../runtime/wire/http2/hpack-decoder.ts";
import { encodeHeaders } from "../../../../../runtime/wire/http2/hpack-encoder.ts";
import type { HeaderField } from "../../../../../runtime/wire/http2/hpack-table.ts";

const listBytesMax = 32_768;

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ""), "hex");
}

function decode(decoder: HpackDecoder, hex: string): readonly HeaderField[] {
  return decoder.decode(bytes(hex)).fields;
}

const firstRequest: HeaderField[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "www.example.com"],
];
const secondRequest: HeaderField[] = [...firstRequest, ["cache-control", "no-cache"]];
const thirdRequest: HeaderField[] = [
  [":method", "GET"],
  [":scheme", "https"],
  [":path", "/index.html"],
  [":authority", "www.example.com"],
  ["custom-key", "custom-value"],
];

describe("the examples of RFC 7541, appendix C", () => {
  test.each([
    [
      "C.2.1",
      "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
      ["custom-key", "custom-header"],
    ],
    ["C.2.2", "040c 2f73 616d 706c 652f 7061 7468", [":path", "/sample/path"]],
    ["C.2.3", "1008 7061 7373 776f 7264 0673 6563 7265 74", ["password", "secret"]],
    ["C.2.4", "82", [":method", "GET"]],
  ])("%s decodes to its field", (_, hex, field) => {
    expect(decode(new HpackDecoder(listBytesMax), hex)).toEqual([field as unknown as HeaderField]);
  });

  test.each([
    [
      "C.3, plain",
      [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ],
    ],
    [
      "C.4, by Huffman's code",
      [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ],
    ],
  ])("%s: three requests of a connection", (_, blocks) => {
    const decoder = new HpackDecoder(listBytesMax);
    const decoded = blocks.map((block) => decode(decoder, block));
    expect(decoded).toEqual([firstRequest, secondRequest, thirdRequest]);
  });

  // Their table has 256 bytes, so that entries go: a size update in front says so.
  test.each([
    [
      "C.5, plain",
      [
        "3fe101 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
      ],
    ],
    [
      "C.6, by Huffman's code",
      [
        "3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
      ],
    ],
  ])("%s: three answers, with evictions", (_, blocks) => {
    const decoder = new HpackDecoder(listBytesMax);
    const [first = [], second = [], third = []] = blocks.map((block) => decode(decoder, block));
    const date = "Mon, 21 Oct 2013 20:13:21 GMT";
    const location = "https://www.example.com";
    expect(first).toEqual([
      [":status", "302"],
      ["cache-control", "private"],
      ["date", date],
      ["location", location],
    ]);
    expect(second).toEqual([
      [":status", "307"],
      ["cache-control", "private"],
      ["date", date],
      ["location", location],
    ]);
    expect(third).toEqual([
      [":status", "200"],
      ["cache-control", "private"],
      ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
      ["location", location],
      ["content-encoding", "gzip"],
      ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
    ]);
  });
});

describe("the table of a decoder", () => {
  const add = "4003 666f 6f03 6261 72";

  test("an entry is the newest one, until another comes", () => {
    const decoder = new HpackDecoder(listBytesMax);
    decode(decoder, add);
    decode(decoder, "4001 6101 62");
    expect(decode(decoder, "be bf")).toEqual([
      ["a", "b"],
      ["foo", "bar"],
    ]);
  });

  test("a size of 0 empties it, and what is remembered of blocks goes with it", () => {
    const decoder = new HpackDecoder(listBytesMax);
    decode(decoder, add);
    expect(decode(decoder, "be")).toEqual([["foo", "bar"]]);
    expect(decode(decoder, "be")).toEqual([["foo", "bar"]]);
    decode(decoder, "20 82");
    expect(() => decode(decoder, "be")).toThrow("there is no entry 62");
  });

  test("a block that is remembered means what the table means now", () => {
    const decoder = new HpackDecoder(listBytesMax);
    decode(decoder, add);
    expect(decode(decoder, "be")).toEqual([["foo", "bar"]]);
    decode(decoder, "4001 6101 62");
    expect(decode(decoder, "be")).toEqual([["a", "b"]]);
  });

  test("an entry that is larger than the table empties it", () => {
    const decoder = new HpackDecoder(listBytesMax);
    decode(decoder, add);
    const value = Buffer.alloc(4_090, "x");
    const block = Buffer.concat([bytes("4001 61 7ffb1e"), value]);
    expect(decoder.decode(block).fields).toEqual([["a", value.toString()]]);
    expect(() => decode(decoder, "be")).toThrow("there is no entry 62");
  });

  test("an entry of exactly its size stays", () => {
    const decoder = new HpackDecoder(listBytesMax);
    const value = Buffer.alloc(4_096 - 32 - 1, "x");
    decoder.decode(Buffer.concat([bytes("4001 61 7fe01e"), value]));
    expect(decode(decoder, "be")).toEqual([["a", value.toString()]]);
  });

  test("the name of a new field may be that of the entry which it drives out", () => {
    const decoder = new HpackDecoder(listBytesMax);
    const value = Buffer.alloc(4_096 - 32 - 1, "x");
    decoder.decode(Buffer.concat([bytes("4001 61 7fe01e"), value]));
    expect(decode(decoder, "7e 01 79")).toEqual([["a", "y"]]);
    expect(decode(decoder, "be")).toEqual([["a", "y"]]);
  });

  test.each([
    ["a size above what we allow", "3fe21f", "too large"],
    ["a size update behind a field", "82 20", "behind a field"],
    ["index 0", "80", "there is no entry 0"],
    ["an index behind the table", "be", "there is no entry 62"],
    ["a name behind the table", "7e 01 61", "there is no entry 62"],
    ["a number of more than 32 bits", "ff ffffffffff0f", "too"],
    ["a number of zeros without an end", "ff 8080808080808080808080", "too long"],
    ["a number that does not end", "ff", "in the middle"],
    ["a text that is longer than the block", "4003 6162", "in the middle of a text"],
    ["a field without its value", "4001 61", "in the middle of a field"],
  ])("%s ends the connection", (_, hex, why) => {
    expect(() => decode(new HpackDecoder(listBytesMax), hex)).toThrow(why);
  });

  test("two size updates may stand in front", () => {
    const decoder = new HpackDecoder(listBytesMax);
    decode(decoder, add);
    expect(decode(decoder, "20 3fe11f 82")).toEqual([[":method", "GET"]]);
    expect(() => decode(decoder, "be")).toThrow("there is no entry 62");
  });

  test("fields beyond the limit of the list are left out, counted, and known to the table", () => {
    const decoder = new HpackDecoder(80);
    const decoded = decoder.decode(bytes("4001 6101 62 4001 6301 64 4001 6501 66"));
    expect(decoded).toEqual({
      fields: [
        ["a", "b"],
        ["c", "d"],
      ],
      listBytes: 102,
      head: null,
    });
    expect(decode(decoder, "be")).toEqual([["e", "f"]]);
  });
});

describe("Huffman's code", () => {
  test.each([
    ["eight bits of padding", "1f ff"],
    ["padding of zeros", "18"],
    ["the symbol of the end", "ff ff ff ff"],
    ["the symbol of the end behind a letter", "1f ff ff ff ff"],
    ["nothing but padding of a whole byte", "ff"],
  ])("%s is refused", (_, hex) => {
    const text = bytes(hex);
    const block = Buffer.concat([bytes("0001 61"), Buffer.from([0x80 | text.length]), text]);
    expect(() => new HpackDecoder(listBytesMax).decode(block)).toThrow("no Huffman code");
  });

  test("an empty text is none", () => {
    expect(decode(new HpackDecoder(listBytesMax), "0001 6180")).toEqual([["a", ""]]);
  });
});

test("what the encoder makes, the decoder reads, and the table stays empty", () => {
  const random = seededRandom(41);
  const decoder = new HpackDecoder(1e9);
  const names = [":status", ":path", "content-type", "grpc-status", "x", "accept-encoding"];
  for (let round = 0; round < 500; round++) {
    const fields = Array.from({ length: random.below(8) }, (): HeaderField => {
      const length = [0, 1, 126, 127, 128, 300, 16_384][random.below(7)] ?? 0;
      const value = Buffer.from(Array.from({ length }, () => random.below(256))).toString("latin1");
      return [names[random.below(names.length)] ?? "x", random.below(3) === 0 ? "200" : value];
    });
    expect(decoder.decode(encodeHeaders(fields)).fields).toEqual(fields);
  }
  expect(() => decoder.decode(Buffer.from([0xbe]))).toThrow("there is no entry 62");
});

/** Ways to damage bytes, as fuzzers do: flips, cuts, repeats, splices, and words that parsers have trouble with. */
import type { Random } from '../../src/util/backoff.ts';
import { pickOne } from '../helpers/seeded-random.ts';

/** A damaged input is never longer. */
const MAX_BYTES = 65_536;

const WORDS: readonly string[] = [
  '__proto__',
  'constructor',
  'time',
  "'; DROP TABLE x; --",
  'a"b',
  '\\',
  '\\\\',
  '"',
  "'",
  '\0',
  '\n',
  '\r\n',
  '\t',
  'NaN',
  'Infinity',
  '-Infinity',
  'null',
  'true',
  '1e400',
  '-0',
  '1e-400',
  '0x10',
  '9223372036854775808',
  '.5',
  '5.',
  '18446744073709551616u',
  '-1u',
  '99999999999999999999',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '=',
  ' ',
  '#',
  ';',
  '%00',
  '\ufeff',
  '\u2603',
  '\u{1f600}',
  'put ',
  'put\n',
  'exit\n',
  'diediedie\n',
  'dropcaches\n',
  '&precision=',
  'x'.repeat(5_000),
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Expect: 100-continue\r\n',
  'Connection: close\r\n',
];
const BAD_UTF8: readonly Buffer[] = [
  [0xff],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xe2, 0x82],
].map((bytes) => Buffer.from(bytes));

type Operator = (random: Random, input: Buffer, other: Buffer) => Buffer;

const OPERATORS: readonly Operator[] = [
  flipBit,
  (random, input) => insert(random, input, Buffer.from([Math.floor(random() * 256)])),
  (random, input) => insert(random, input, Buffer.from(pickOne(random, WORDS) as string)),
  (random, input) => insert(random, input, pickOne(random, BAD_UTF8) as Buffer),
  (random, input) => input.subarray(0, placeIn(random, input)),
  removePiece,
  repeatPiece,
  (random, input, other) =>
    Buffer.concat([input.subarray(0, placeIn(random, input)), other.subarray(placeIn(random, other))]),
  nest,
];

/** The input with one to four pieces of damage; `other` gives material to splice. */
export function mutate(random: Random, input: Buffer, other: Buffer): Buffer {
  let output = input;
  for (let left = 1 + Math.floor(random() * 4); left > 0; left--) {
    output = (pickOne(random, OPERATORS) as Operator)(random, output, other).subarray(0, MAX_BYTES);
  }
  return Buffer.from(output);
}

function placeIn(random: Random, bytes: Buffer): number {
  return Math.floor(random() * (bytes.length + 1));
}

function insert(random: Random, input: Buffer, piece: Buffer): Buffer {
  const at = placeIn(random, input);
  return Buffer.concat([input.subarray(0, at), piece, input.subarray(at)]);
}

function flipBit(random: Random, input: Buffer): Buffer {
  const output = Buffer.from(input);
  const at = Math.floor(random() * output.length);
  if (output.length > 0) output[at] = (output[at] as number) ^ (1 << Math.floor(random() * 8));
  return output;
}

function removePiece(random: Random, input: Buffer): Buffer {
  const [from, to] = [placeIn(random, input), placeIn(random, input)].sort((a, b) => a - b) as [
    number,
    number,
  ];
  return Buffer.concat([input.subarray(0, from), input.subarray(to)]);
}

function repeatPiece(random: Random, input: Buffer): Buffer {
  const [from, to] = [placeIn(random, input), placeIn(random, input)].sort((a, b) => a - b) as [
    number,
    number,
  ];
  const times = 2 + Math.floor(random() * 50);
  const piece = input.subarray(from, to);
  const copies = Array.from({ length: times }, () => piece);
  return Buffer.concat([input.subarray(0, from), ...copies, input.subarray(to)]);
}

/** Depth, for what is read by recursion. */
function nest(random: Random, input: Buffer): Buffer {
  const depth = Math.floor(random() * 5_000);
  return insert(random, input, Buffer.from(random() < 0.5 ? '['.repeat(depth) : '{"a":'.repeat(depth)));
}

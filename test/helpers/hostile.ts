/** Names and values at the edges of what clients may send. */
import type { ValueType } from '../../src/model/column.ts';
import type { TestValue } from './points.ts';

/** Names that databases, SQL or JavaScript could take for something else. */
export const ODD_NAMES = [
  'a"b',
  "a'b; DROP TABLE x; --",
  '__proto__',
  'constructor',
  'select',
  ' leading and trailing ',
  'tab\tnewline\ncontrol\u0001',
  'größe/温度 ☃ 😀',
  'sluice~0',
  'x~',
  'time',
  'rowid',
  'main',
  '1e5',
  '%s$1?',
  'n'.repeat(20_000),
];

/** Names that a sink must take and keep apart; fewer for a database that says which it can't have. */
export interface SuiteNames {
  readonly tables: readonly string[];
  readonly columns: readonly string[];
  /** Tables that differ in case alone, or look like what the sink makes of such. */
  readonly cased: readonly string[];
  readonly databases: readonly string[];
}

/** All of them. */
export const ANY_NAMES: SuiteNames = {
  tables: ODD_NAMES,
  columns: ODD_NAMES,
  cased: ['cpu', 'CPU', 'Cpu', 'cpu~0', 'CPU~7'],
  databases: ['a', 'A', 'main', 'temp', 'information_schema', '_sluice', 'sluice~0'],
};

/** Per type the values that are first to break. */
export const EXTREMES: { readonly [T in ValueType]: readonly TestValue[] } = {
  float64: [0, -0, 1.5, -1e308, Number.MAX_VALUE, Number.MIN_VALUE, 0.1 + 0.2, 2 ** 53 + 2].map((v) => [
    'float64',
    v,
  ]),
  int64: [0n, 1n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)].map((v) => ['int64', v]),
  uint64: [0n, 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n].map((v) => ['uint64', v]),
  bool: [true, false].map((v) => ['bool', v]),
  string: ['', 'a', 'null', 'größe ☃ 😀', `a"b'c\\d\n\t`, 'x'.repeat(70_000)].map((v) => ['string', v]),
};

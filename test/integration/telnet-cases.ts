/** Telnet lines, what is answered and what is stored (protocols.md 3, column GW). `$` stands for the table of the case. */

/** A case. */
export interface TelnetCase {
  readonly line: string | Buffer;
  /** The one line that is answered; undefined: nothing. */
  readonly reply?: string;
  /** The row that is stored; undefined: none. */
  readonly stored?: {
    readonly timeNs: string;
    readonly value: number;
    readonly tags: Readonly<Record<string, string>>;
  };
}

const SECOND = '1700000000000000000';
const HOST = { host: 'a' };
const stored = (
  line: string,
  value: number,
  timeNs = SECOND,
  tags: Readonly<Record<string, string>> = HOST,
): TelnetCase => ({
  line,
  stored: { timeNs, value, tags },
});
const refused = (line: string | Buffer, reply: string): TelnetCase => ({ line, reply: `put: ${reply}` });

/** See the module comment. */
export const TELNET_CASES: readonly TelnetCase[] = [
  // Values.
  stored('put $ 1700000000 1 host=a\n', 1),
  stored('put $ 1700000000 +5 host=a\n', 5),
  stored('put $ 1700000000 -5 host=a\n', -5),
  stored('put $ 1700000000 0042 host=a\n', 42),
  stored('put $ 1700000000 4.25 host=a\n', 4.25),
  stored('put $ 1700000000 .5 host=a\n', 0.5),
  stored('put $ 1700000000 5. host=a\n', 5),
  stored('put $ 1700000000 1e+06 host=a\n', 1e6),
  stored('put $ 1700000000 1E-3 host=a\n', 1e-3),
  stored('put $ 1700000000 123456789.123456 host=a\n', 123456789.123456),
  refused('put $ 1700000000 nan host=a\n', "invalid value: Invalid character 'n' in nan"),
  refused('put $ 1700000000 -nan host=a\n', "invalid value: Invalid character 'n' in -nan"),
  refused('put $ 1700000000 inf host=a\n', "invalid value: Invalid character 'i' in inf"),
  refused('put $ 1700000000 0x10 host=a\n', "invalid value: Invalid character 'x' in 0x10"),
  refused('put $ 1700000000 1_0 host=a\n', "invalid value: Invalid character '_' in 1_0"),
  refused('put $ 1700000000 1.5f host=a\n', "invalid value: Invalid character 'f' in 1.5f"),
  refused(
    'put $ 1700000000 9223372036854775808 host=a\n',
    'invalid value: Value too long: 9223372036854775808',
  ),
  // Times.
  stored('put $ 1700000000123 1 host=a\n', 1, '1700000000123000000'),
  stored('put $ 1700000000.123 1 host=a\n', 1, '1700000000123000000'),
  stored('put $ 1700000000.5 1 host=a\n', 1, '1700000000500000000'),
  stored('put $ 4294967295 1 host=a\n', 1, '4294967295000000000'),
  stored('put $ 4294967296 1 host=a\n', 1, '4294967296000000'),
  refused('put $ 0 1 host=a\n', 'illegal argument: invalid timestamp: 0'),
  refused('put $ -1 1 host=a\n', 'illegal argument: invalid timestamp: -1'),
  refused('put $ 12x 1 host=a\n', "invalid value: Invalid character 'x' in 12x"),
  refused('put $ now 1 host=a\n', "invalid value: Invalid character 'n' in now"),
  refused(
    'put $ 99999999999999 1 host=a\n',
    'illegal argument: bad timestamp=99999999999999 when trying to add value=1 to metric=$, tags={host=a}',
  ),
  // Spaces and ends of lines.
  stored('put $ 1700000000 1 host=a\r\n', 1),
  stored('put $ 1700000000 1 host=a \n', 1),
  stored('put  $  1700000000  1  host=a  \r\n', 1),
  stored('put $ 1700000000 1 host=a', 1),
  stored('\n\r\n  \nput $ 1700000000 1 host=a\n', 1),
  // Tags.
  stored('put $ 1700000000 1 host=a dc=lga\n', 1, SECOND, { host: 'a', dc: 'lga' }),
  stored('put $ 1700000000 1 dc=lga host=a host=a\n', 1, SECOND, { host: 'a', dc: 'lga' }),
  stored('put $ 1700000000 1 host=größe/中\n', 1, SECOND, { host: 'größe/中' }),
  refused('put $ 1700000000 1\n', 'illegal argument: not enough arguments (need least 4, got 3)'),
  refused('put $ 1700000000 1 \n', 'illegal argument: Need at least one tag (metric=$, tags={})'),
  refused('put $\n', 'illegal argument: not enough arguments (need least 4, got 1)'),
  refused('put\n', 'illegal argument: not enough arguments (need least 4, got 0)'),
  refused('put $ 1700000000 1 host\n', 'illegal argument: invalid tag: host'),
  refused('put $ 1700000000 1 host=\n', 'illegal argument: invalid tag: host='),
  refused('put $ 1700000000 1 =a\n', 'illegal argument: invalid tag: =a'),
  refused('put $ 1700000000 1 a=b=c\n', 'illegal argument: invalid tag: a=b=c'),
  refused('put $ 1700000000 1 host=a host=b\n', 'illegal argument: duplicate tag: host=b, tags={host=a}'),
  refused(
    'put $ 1700000000 1 a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1\n',
    'illegal argument: Too many tags: 9 maximum allowed: 8, tags: {a=1, b=1, c=1, d=1, e=1, f=1, g=1, h=1, i=1}',
  ),
  refused(
    'put $;x 1700000000 1 host=a\n',
    'illegal argument: Invalid metric name ("$;x"): illegal character: ;',
  ),
  refused(
    'put $ 1700000000 1 ho$t=a\n'.replace('ho$t', 'ho;t'),
    'illegal argument: Invalid tag name with value [a] ("ho;t"): illegal character: ;',
  ),
  refused(
    'put $ 1700000000 1 host=a;b\n',
    'illegal argument: Invalid tag value with key [host] ("a;b"): illegal character: ;',
  ),
  refused(
    Buffer.from([...Buffer.from('put m 1700000000 1 host='), 0xff, 0x0a]),
    'illegal argument: the line is not UTF-8',
  ),
  // Commands.
  { line: 'status\n', reply: 'ok' },
  { line: 'PUT_ $ 1 1 host=a\n'.toLowerCase(), reply: "unknown command: put_.  Try `help'." },
  {
    line: 'rollup 1m-sum $ 1700000000 1 host=a\n',
    reply: 'rollup: illegal argument: No rollup or aggregations were configured',
  },
  {
    line: 'histogram $ 1700000000 u=0:o=0:1,2=5 host=a\n',
    reply: 'histogram: illegal argument: Histogram storage has not been enabled',
  },
  { line: '__proto__\n', reply: "unknown command: __proto__.  Try `help'." },
  { line: `${'x'.repeat(200)}\n`, reply: `unknown command: ${'x'.repeat(64)}.  Try \`help'.` },
];

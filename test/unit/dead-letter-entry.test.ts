/** The form of the dead letter's files: safe from hostile names and messages, readable after any accident. */
import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { PointBatch } from '../../src/model/point-batch.ts';
import { createLineParser } from '../../src/protocol/line-protocol.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { entriesOf, rawEntry, readEntryHead } from '../../src/spool/dead-letter-entry.ts';
import { type FiledEntry, type FileRest, readFile } from '../../src/spool/dead-letter-reader.ts';
import { createRecordEncoder } from '../../src/spool/record.ts';
import { decode } from '../../src/spool/record-decode.ts';
import { deadRows, simplePoint } from '../helpers/dead-letter.ts';
import { anyPoint, exactRows, rowsByTable } from '../helpers/exact-rows.ts';
import { temporaryFolder } from '../helpers/gateway.ts';
import { DEFAULT_LIMITS } from '../helpers/parsers.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const limits = { ...DEFAULT_LIMITS, nameBytes: 65_535 };
const open = (): SeriesDictionary => new SeriesDictionary({ maxSeries: 1_000, maxBytes: 10_000_000 }, 3);
const fileOf = (dead: ReturnType<typeof deadRows>): Buffer =>
  Buffer.concat(entriesOf(dead, NOW, createRecordEncoder()).map(({ bytes }) => bytes));

/** What curl would post, as the gateway reads it. */
function posted(bytes: Uint8Array): PointBatch {
  const batch = new PointBatch();
  batch.reset(bytes, 'public');
  assert.deepEqual(createLineParser(open(), { limits }).parse(batch, 'ns', 0).errors, []);
  return batch;
}

async function readBytes(path: string, bytes: Uint8Array): Promise<(FiledEntry | FileRest)[]> {
  writeFileSync(path, bytes);
  const all: (FiledEntry | FileRest)[] = [];
  for await (const item of readFile(path)) all.push(item);
  return all;
}

const bodyOf = (item: FiledEntry | FileRest | undefined): string =>
  item?.kind === 'entry' ? item.body.toString() : String(item?.kind);

/** The rows of all entries that are records, read back. */
function encodedRows(items: readonly (FiledEntry | FileRest)[]): ReturnType<typeof exactRows> {
  return items.flatMap((item) => {
    if (item.kind !== 'entry' || item.head.form !== 'rows') return [];
    const base64 = /^# base64 (\S+)\n$/.exec(bodyOf(item))?.[1] ?? '';
    const batch = new PointBatch();
    decode([Buffer.from(base64, 'base64')], batch, open());
    return exactRows(batch, undefined, 'text');
  });
}

describe('an entry', () => {
  it('has its exact form', () => {
    const text = fileOf(
      deadRows([simplePoint('a b'), { table: 'x\\', fields: [['v', ['bool', true]]] }], {
        reason: 'expired',
      }),
    ).toString();
    const head =
      '"v":1,"time":"2026-01-02T03:04:05.678Z","accepted":"2025-12-31T00:00:00.000Z","reason":"expired",' +
      '"message":"no such table","askedBy":"influx 10.0.0.7","source":"influx","database":"public"';
    const [first, lines, second, base64] = text.split('\n') as [string, string, string, string];
    assert.equal(first, `# {${head},"table":"a b","rows":1,"form":"lines","bytes":12,"crc":3919762650}`);
    assert.equal(lines, 'a\\ b v=1i 5');
    assert.ok(second.startsWith(`# {${head},"table":"x\\\\","rows":1,"form":"rows","bytes":`));
    assert.match(base64, /^# base64 [A-Za-z0-9+/]+=*$/);
  });

  it('gives back every row, by line protocol or as a record, however hostile names and messages are', async (t) => {
    const path = join(temporaryFolder(t), 'file');
    const hostile = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\n# {"v":1}\n', '\u001b[2J\r', '\u2028\u0085\u202e', 'x'.repeat(3_000)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyPoint, { minLength: 1, maxLength: 8 }),
        hostile,
        hostile,
        async (points, message, askedBy) => {
          const dead = deadRows(points, { message, askedBy });
          const bytes = fileOf(dead);
          const items = await readBytes(path, bytes);
          const back = [...exactRows(posted(bytes), undefined, 'text'), ...encodedRows(items)];
          assert.deepEqual(
            new Set(back.map((row) => JSON.stringify(row, stringify))),
            new Set(exactRows(dead.batch, undefined, 'text').map((row) => JSON.stringify(row, stringify))),
          );
          const rows = items.map((item) =>
            item.kind === 'entry' && item.intact ? item.head.rows : Number.NaN,
          );
          assert.equal(
            rows.reduce((sum, count) => sum + count, 0),
            points.length,
          );
          assert.equal(back.length, points.length);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('keeps the order of the rows of a table', () => {
    const points = [1, 2, 3, 4].map((value) => simplePoint(value % 2 === 0 ? 'even' : 'odd', value));
    const dead = deadRows(points);
    assert.deepEqual(rowsByTable(exactRows(posted(fileOf(dead)))), rowsByTable(exactRows(dead.batch)));
  });

  it('has a head of one line without anything that moves a cursor or reorders text', () => {
    const nasty = 'a\n# {"v":1}\r\u001b[31m\u0085\u009b\u2028\u202e\u2066\ufeff\u007f';
    const dead = deadRows([{ table: nasty.replaceAll('\n', ''), fields: [['v', ['bool', true]]] }], {
      message: nasty,
      askedBy: nasty,
    });
    const [head = ''] = fileOf(dead).toString().split('\n');
    assert.doesNotMatch(head, /[\p{Cc}\p{Zl}\p{Bidi_C}\ufeff]/u);
    assert.equal(readEntryHead(head)?.message, nasty);
    assert.equal(readEntryHead(head)?.table, nasty.replaceAll('\n', ''));
  });

  it('is no larger than a mebibyte and a row', () => {
    const points = Array.from({ length: 40 }, (_, i): Parameters<typeof deadRows>[0][number] => ({
      table: 'm',
      timeNs: BigInt(i),
      fields: [['s', ['string', 'x'.repeat(100_000)]]],
    }));
    const entries = entriesOf(deadRows(points), NOW, createRecordEncoder());
    assert.deepEqual(
      entries.map(({ rows }) => rows),
      [11, 11, 11, 7],
    );
  });

  it('of an unreadable record has its bytes', async (t) => {
    const raw = Uint8Array.from({ length: 300 }, (_, i) => i);
    const [item, ...others] = await readBytes(
      join(temporaryFolder(t), 'file'),
      rawEntry(raw, 'a\nb', NOW).bytes,
    );
    assert.equal(others.length, 0);
    assert.equal(bodyOf(item), `# base64 ${Buffer.from(raw).toString('base64')}\n`);
    assert.deepEqual(item?.kind === 'entry' && [item.head.form, item.head.reason, item.head.message], [
      'raw',
      'unreadable',
      'a\nb',
    ]);
  });
});

describe('a head', () => {
  const good = {
    v: 1,
    time: 'T',
    reason: 'full',
    message: 'm',
    database: 'd',
    rows: 1,
    form: 'lines',
    bytes: 2,
    crc: 3,
  };
  const cases: [what: string, line: string][] = [
    ['has no JSON', '# hello'],
    ['is cut off', '# {"v":1'],
    ['is a list', '# [1]'],
    ['is null', '# null'],
    ['is no comment', JSON.stringify(good)],
    ['is of another version', `# ${JSON.stringify({ ...good, v: 2 })}`],
    ['has a negative size', `# ${JSON.stringify({ ...good, bytes: -1 })}`],
    ['has a size that is no integer', `# ${JSON.stringify({ ...good, bytes: 1.5 })}`],
    ['has an unknown reason', `# ${JSON.stringify({ ...good, reason: 'bored' })}`],
    ['has an unknown form', `# ${JSON.stringify({ ...good, form: 'song' })}`],
    ['has a table that is no text', `# ${JSON.stringify({ ...good, table: 1 })}`],
    ['has lines of no database', `# ${JSON.stringify({ ...good, database: undefined })}`],
  ];
  it('is read when all is there', () => assert.deepEqual(readEntryHead(`# ${JSON.stringify(good)}`), good));
  for (const [what, line] of cases)
    it(`is none when it ${what}`, () => assert.equal(readEntryHead(line), undefined));
});

describe('a file', () => {
  const bytes = fileOf(deadRows([simplePoint('a', 1), simplePoint('b', 2), simplePoint('c', 3)]));
  const sizes = entriesOf(
    deadRows([simplePoint('a', 1), simplePoint('b', 2), simplePoint('c', 3)]),
    NOW,
    createRecordEncoder(),
  ).map((entry) => entry.bytes.length);

  it('that is cut off anywhere has its complete entries and a torn rest', async (t) => {
    const path = join(temporaryFolder(t), 'file');
    for (let end = 0; end <= bytes.length; end++) {
      const items = await readBytes(path, bytes.subarray(0, end));
      let complete = 0;
      let at = 0;
      while (complete < 3 && at + (sizes[complete] as number) <= end) at += sizes[complete++] as number;
      assert.deepEqual(
        items.map(({ kind, offset, bytes: size }) => [kind, offset, size]),
        [
          ...sizes
            .slice(0, complete)
            .map((size, i) => ['entry', i === 0 ? 0 : sizes.slice(0, i).reduce((a, b) => a + b), size]),
          ...(at < end ? [['torn', at, end - at]] : []),
        ],
      );
    }
  });

  it('with a damaged entry still has the others', async (t) => {
    const path = join(temporaryFolder(t), 'file');
    const damaged = Buffer.from(bytes);
    damaged[(sizes[0] as number) + (sizes[1] as number) - 3] = 0x39;
    const items = await readBytes(path, damaged);
    assert.deepEqual(
      items.map((item) => item.kind === 'entry' && item.intact),
      [true, false, true],
    );
  });

  it('with a damaged head is damaged from there on', async (t) => {
    const path = join(temporaryFolder(t), 'file');
    const damaged = Buffer.from(bytes);
    damaged[(sizes[0] as number) + 3] = 0;
    assert.deepEqual(
      (await readBytes(path, damaged)).map(({ kind }) => kind),
      ['entry', 'damaged'],
    );
    assert.deepEqual(
      (await readBytes(path, Buffer.alloc(3_000_000))).map(({ kind }) => kind),
      ['damaged'],
    );
  });

  it('whose entries are longer than what is read at once is read whole', async (t) => {
    const path = join(temporaryFolder(t), 'file');
    rmSync(path, { force: true });
    const long = (size: number): Buffer =>
      fileOf(deadRows([{ table: 'm'.repeat(size), fields: [['s', ['string', 'x'.repeat(size * 7)]]] }]));
    for (const size of [1, 60_000, 10, 30_000, 5]) appendFileSync(path, long(size));
    const items = await readBytes(path, readFileSync(path));
    assert.deepEqual(
      items.map((item) => item.kind === 'entry' && item.intact),
      Array.from({ length: 5 }, () => true),
    );
  });
});

function stringify(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

/** Records of the spool: what is decoded is what was encoded, and no bytes do harm. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { PointBatch } from '../../src/model/point-batch.ts';
import type { RecordHead } from '../../src/model/spool.ts';
import { createLineParser } from '../../src/protocol/line-protocol.ts';
import { createOpenTsdbParser } from '../../src/protocol/opentsdb-json.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { createRecordEncoder, type EncodedRecord } from '../../src/spool/record.ts';
import { decode } from '../../src/spool/record-decode.ts';
import { RecordError } from '../../src/spool/record-reader.ts';
import { anyPoint, exactRows, rowsByTable } from '../helpers/exact-rows.ts';
import { EXTREMES, ODD_NAMES } from '../helpers/hostile.ts';
import { DEFAULT_LIMITS, DEFAULT_RULES } from '../helpers/parsers.ts';
import { createTestSource, type TestPoint } from '../helpers/points.ts';

const HEAD: RecordHead = { source: 'influx', askedBy: 'influx 10.0.0.7 größe\0', atMs: 1_700_000_000_123.5 };

const open = (maxSeries = 10_000): SeriesDictionary =>
  new SeriesDictionary({ maxSeries, maxBytes: 50_000_000 }, 7);
const bytesOf = (records: readonly EncodedRecord[]): Uint8Array[] => records.map(({ bytes }) => bytes);
const batchOf = (points: readonly TestPoint[]): PointBatch => createTestSource('public').batch(points);
const points = (count: number, more: Partial<TestPoint> = {}): TestPoint[] =>
  Array.from({ length: count }, (_, i) => ({
    table: `t${i % 7}`,
    tags: { host: `h${i}` },
    fields: [['v', ['int64', BigInt(i)]]],
    ...more,
  }));

function parsed(body: string | Uint8Array, dictionary = open()): PointBatch {
  const batch = new PointBatch();
  batch.reset(typeof body === 'string' ? Buffer.from(body) : body, 'public');
  createLineParser(dictionary, { limits: { ...DEFAULT_LIMITS, nameBytes: 65_535 } }).parse(batch, 'ns', 0);
  return batch;
}

/** Asserts that the rows come back exactly, those of a table in order; answers the records. */
function assertKept(batch: PointBatch, rows?: readonly number[], interner = open()): EncodedRecord[] {
  const records = [...createRecordEncoder().encode(batch, rows, HEAD)];
  const expected = exactRows(batch, rows);
  if (expected.length === 0) {
    assert.deepEqual(records, []);
    return records;
  }
  const into = new PointBatch(1, 1);
  const result = decode(bytesOf(records), into, interner);
  let end = 0;
  const rowEnds = records.map((record) => (end += record.rows));
  assert.deepEqual(result, { head: HEAD, heads: records.map(() => HEAD), rowEnds });
  assert.equal(end, expected.length);
  assert.deepEqual(rowsByTable(exactRows(into)), rowsByTable(expected));
  return records;
}

describe('a record', () => {
  it('keeps any rows bit for bit', () => {
    fc.assert(
      fc.property(
        fc.array(anyPoint, { maxLength: 12 }),
        fc.integer({ min: 4, max: 40 }),
        (all, maxSeries) => {
          // A small dictionary forgets tables while they are decoded.
          assertKept(batchOf(all), undefined, open(maxSeries));
        },
      ),
      { numRuns: 1_500 },
    );
  });

  it('keeps the rows that are asked for, skipped or not, else those not skipped', () => {
    const some = fc.array(anyPoint, { minLength: 1, maxLength: 12 }).chain((all) =>
      fc.record({
        all: fc.constant(all),
        rows: fc.subarray([...all.keys()]),
        skipped: fc.subarray([...all.keys()]),
      }),
    );
    fc.assert(
      fc.property(some, ({ all, rows, skipped }) => {
        const batch = batchOf(all);
        for (const row of skipped) batch.skipRow(row);
        assertKept(batch, rows);
        assertKept(batch);
      }),
      { numRuns: 1_000 },
    );
  });

  for (const [type, values] of Object.entries(EXTREMES)) {
    it(`keeps extreme values of type ${type}`, () => {
      assertKept(batchOf(values.map((value) => ({ table: 't', fields: [['f', value]] }))));
    });
  }

  it('keeps odd names of everything', () => {
    const names = [...ODD_NAMES, 'ü'.repeat(32_767), 'x'.repeat(65_535)];
    assertKept(
      batchOf(
        names.map((name) => ({ table: name, tags: { [name]: name }, fields: [[name, ['bool', true]]] })),
      ),
    );
  });

  it('keeps what a parser made of escapes, also over several databases', () => {
    const dictionary = open();
    const batch = parsed(
      'a\\ b,t\\,=\\=x f\\ 1="a\\"b\\\\",g="\\x" 7\na\\ b s="plain",i=1i,u=2u,t=T -9\n',
      dictionary,
    );
    assert.equal(batch.rows, 2);
    const [first] = assertKept(batch);
    const other = createRecordEncoder().encode(createTestSource('größe').batch(points(3)), undefined, HEAD);
    const both = new PointBatch();
    decode(bytesOf([first as EncodedRecord, ...other]), both, open());
    assertKept(both);
    const databases = new Set(exactRows(both).map(({ database }) => database));
    assert.deepEqual([...databases], ['public', 'größe']);
  });

  it('is decoded to the objects that the dictionary has', () => {
    const dictionary = open();
    const batch = parsed('m,t=1 f=1,g=2i 5\nm,t=1 f=3 6\n', dictionary);
    const into = new PointBatch();
    decode(bytesOf(createRecordEncoder().encode(batch, undefined, HEAD)), into, dictionary);
    assert.deepEqual(into.series.slice(0, 2), [batch.series[0], batch.series[0]]);
    assert.equal(into.series[0], batch.series[0]);
    assert.equal(into.cellField[1], batch.cellField[1]);
    assert.deepEqual([into.skipped, into.users, into.groupCount], [0, 0, 1]);
  });

  it('gives each row fields of its own table object when the dictionary has two for one name', () => {
    const [old, young] = [open(), open()];
    const forgetful = {
      series: (...args: Parameters<SeriesDictionary['series']>) =>
        (args[2][0]?.[1] === 'a' ? old : young).series(...args),
      field: (...args: Parameters<SeriesDictionary['field']>) => young.field(...args),
    };
    const into = new PointBatch();
    const records = createRecordEncoder().encode(
      parsed('m,t=a f=1\nm,t=b f=2\nm,t=a f=3\n'),
      undefined,
      HEAD,
    );
    decode(bytesOf(records), into, forgetful);
    for (let row = 0; row < 3; row++)
      assert.equal(into.cellField[row]?.table, into.series[row]?.tagSet.table);
    assert.equal(into.groupCount, 2);
  });

  it('is spelled the same by the bytes, whatever the batch did before', () => {
    const encoder = createRecordEncoder();
    const first = encoder.encode(batchOf(points(50)), undefined, HEAD);
    encoder.encode(parsed(`m ${Array.from({ length: 900 }, (_, i) => `f${i}=1`).join()}\n`), undefined, HEAD);
    assert.deepEqual(encoder.encode(batchOf(points(50)), undefined, HEAD), first);
  });

  it('is the format of version 1, byte by byte', () => {
    const [record] = createRecordEncoder().encode(
      parsed('m,k=v f=1.5,s="a\\"",b=t 258\nm,k=w b=f 3\n'),
      undefined,
      { source: 'influx', askedBy: 'x', atMs: 0 },
    );
    const time = (low: string): string => `${low}000000000000`;
    const expected = [
      '01 01 02000000 0000000000000000 0178',
      '00 00 067075626c6963 016d',
      `01 01 016b 0176 ${time('0201')} 03`,
      '00 00 0166 000000000000f83f 01 04 0173 07 615c22 02 03 0162 01',
      `01 0177 ${time('0300')} 01 02 00`,
    ];
    assert.equal(Buffer.from(record?.bytes ?? []).toString('hex'), expected.join('').replaceAll(' ', ''));
  });
});

describe('many rows', () => {
  it('are split into records of about a mebibyte, each complete by itself', () => {
    const batch = batchOf(points(3_000, { fields: [['v', ['string', 'x'.repeat(1_000)]]] }));
    const records = assertKept(batch);
    assert.equal(records.length, 3);
    for (const { bytes, rows } of records) {
      assert.ok(bytes.length < 2 ** 20 + 2_000);
      const alone = new PointBatch();
      decode([bytes], alone, open());
      assert.equal(alone.rows, rows);
    }
  });

  it('may be huge each: a row is never split', () => {
    const records = assertKept(batchOf(points(3, { fields: [['v', ['string', 'x'.repeat(6_000_000)]]] })));
    assert.equal(records.length, 3);
  });

  it('may have more fields and tag sets than are searched in order', () => {
    const rows = Array.from(
      { length: 3_000 },
      (_, i): TestPoint => ({
        table: 't',
        tags: { [`k${i % 1_500}`]: 'v' },
        fields: [
          [`f${(i * 7) % 2_000}`, ['bool', true]],
          ['every', ['bool', false]],
        ],
      }),
    );
    assertKept(batchOf(rows));
  });

  it('are taken up to the first record of another source, and within the bound of rows', () => {
    const encoder = createRecordEncoder();
    const record = (count: number, source: RecordHead['source']): Uint8Array =>
      bytesOf(encoder.encode(batchOf(points(count)), undefined, { ...HEAD, source }))[0] as Uint8Array;
    const records = [record(5, 'influx'), record(4, 'influx'), record(3, 'opentsdb'), record(2, 'influx')];
    const taken = (from: number, maxRows?: number): readonly number[] =>
      decode(records.slice(from), new PointBatch(), open(), maxRows).rowEnds;
    assert.deepEqual(taken(0), [5, 9]);
    assert.deepEqual(taken(0, 9), [5, 9]);
    assert.deepEqual(taken(0, 8), [5]);
    assert.deepEqual(taken(0, 1), [5]);
    assert.deepEqual(taken(2), [3]);
  });
});

describe('bytes that no encoder wrote', () => {
  const encoder = createRecordEncoder();
  const valid = fc
    .array(anyPoint, { minLength: 1, maxLength: 5 })
    .map((all) => bytesOf(encoder.encode(batchOf(all), undefined, HEAD))[0] as Uint8Array);

  /** Decodes; a RecordError is as good as an answer, and leaves an empty batch. */
  function survive(bytes: Uint8Array): boolean {
    const batch = new PointBatch(1, 1);
    try {
      decode([bytes], batch, open());
      assert.ok(batch.rows <= bytes.length / 10 && batch.cells <= bytes.length);
      return true;
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      assert.deepEqual([batch.rows, batch.groupCount, error.record], [0, 0, 0]);
      return false;
    }
  }

  it('are refused when they are cut off anywhere', () => {
    fc.assert(
      fc.property(valid, fc.nat(), (bytes, cut) => {
        assert.equal(survive(bytes.subarray(0, cut % bytes.length)), false);
      }),
      { numRuns: 1_000 },
    );
  });

  it('do no harm when they are random or damaged', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(valid, damage, (bytes, changes) => {
        const damaged = Uint8Array.from(bytes);
        for (const [at, byte] of changes) damaged[at % damaged.length] = byte;
        survive(damaged);
      }),
      { numRuns: 3_000 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void survive(bytes)));
    const start = Buffer.from('0101010000000000000000000000017800000161', 'hex');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void survive(Buffer.concat([start, bytes]))),
      { numRuns: 2_000 },
    );
  });

  it('are told by kind: another version, or malformed', () => {
    const [record] = bytesOf(encoder.encode(batchOf(points(1)), undefined, HEAD)) as [Uint8Array];
    const kindOf = (bytes: Uint8Array): string => {
      try {
        decode([record, bytes], new PointBatch(), open());
      } catch (error) {
        if (error instanceof RecordError) return `${error.kind} at ${error.record}`;
      }
      return 'none';
    };
    assert.equal(kindOf(record), 'none');
    assert.equal(kindOf(Uint8Array.from(record, (byte, i) => (i === 0 ? 2 : byte))), 'version at 1');
    assert.equal(kindOf(Uint8Array.from(record, (byte, i) => (i === 2 ? 2 : byte))), 'malformed at 1');
    assert.equal(kindOf(Uint8Array.from([...record, 1])), 'malformed at 1');
    assert.equal(kindOf(new Uint8Array(0)), 'malformed at 1');
  });

  const head = '01 01 01000000 0000000000000000 0178 00 00 0161';
  const row = '0000000000000000 01 00 03 0166 01';
  const table = '0174';
  const malformed: [what: string, hex: string][] = [
    ['tag keys out of order', `${head} ${table} 01 02 0162 0161 0178 0178 ${row}`],
    ['a tag key twice', `${head} ${table} 01 02 0161 0161 0178 0178 ${row}`],
    ['an empty tag value', `${head} ${table} 01 01 0161 00 ${row}`],
    ['a NUL in a name', `${head} 0100 01 00 ${row}`],
    ['a name that is no UTF-8', `${head} 01ff 01 00 ${row}`],
    ['a boolean of 2', `${head} ${table} 01 00 ${row.replace(/01$/, '02')}`],
    ['a type that is not known', `${head} ${table} 01 00 ${row.replace('03', '05')}`],
    ['a field that is not known', `${head} ${table} 01 00 ${row.replace('01 00', '01 01')}`],
    ['a tag set that is not known', `${head} ${table} 02 00 ${row}`],
    ['a row without cells', `${head} ${table} 01 00 0000000000000000 00`],
    ['a row without a table', `01 01 01000000 0000000000000000 0178 01 00 ${row}`],
    ['a number of six bytes', `${head} 808080808000 01 00 ${row}`],
  ];
  for (const [what, hex] of [['', `${head} ${table} 01 00 ${row}`] as const, ...malformed]) {
    it(what === '' ? 'need a difference to be refused' : `are refused for ${what}`, () => {
      assert.equal(survive(Buffer.from(hex.replaceAll(' ', ''), 'hex')), what === '');
    });
  }
});

describe('names of parsers', () => {
  it('never have a lone surrogate, which UTF-8 can not spell', () => {
    const batch = new PointBatch();
    const parser = createOpenTsdbParser(open(), { limits: DEFAULT_LIMITS, ...DEFAULT_RULES });
    for (const [metric, tag] of [
      ['\\ud800', 'x'],
      ['m', '\\udc00\\ud800'],
      ['m', 'a\\ud83d'],
    ]) {
      const body = `[{"metric":"${metric}","timestamp":1,"value":1,"tags":{"host":"${tag}"}}]`;
      batch.reset(Buffer.from(body), 'public');
      parser.parse(batch);
      assert.equal(batch.rows, 0);
    }
  });
});

/**
 * Compares ways to lay out metrics in DuckDB; the figures in docs/storage.md come from here. Prints one JSON line
 * per layout and shape of flush, and one per way of reading the chosen layout.
 * Usage: node dist/test/bench/duckdb-layout.js [write|read]
 *   tags    a table per metric, tags as VARCHAR columns
 *   series  a table per metric, tags once per series
 *   wide    one table for all metrics, a column per field, tags once per series
 *   long    one table for all metrics, a row per field value, tags once per series (chosen)
 */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DOUBLE,
  type DuckDBAppender,
  type DuckDBConnection,
  DuckDBDataChunk,
  DuckDBInstance,
  type DuckDBType,
  INTEGER,
  TIMESTAMP_NS,
  VARCHAR,
} from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';

type Layout = 'tags' | 'series' | 'wide' | 'long';
type Buffer = Int32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

interface Shape {
  readonly metrics: number;
  readonly rows: number;
  readonly fields: number;
  readonly flushes: number;
}

const SERIES_PER_METRIC = 20;
const CHUNK_ROWS = duckdb.vector_size();
const VALUES = Float64Array.from({ length: 65_537 }, (_, i) => Math.sin(i / 3) * 100);
const TAGS = ['host', 'dc', 'cpu'].map((tag, c) =>
  Array.from({ length: SERIES_PER_METRIC }, (_, i) => `${tag}${i % (20 - 6 * c)}`),
);
const START_NS = 1_700_000_000_000_000_000n;

const SHAPES: readonly Shape[] = [
  { metrics: 20, rows: 50, fields: 1, flushes: 300 },
  { metrics: 650, rows: 2, fields: 1, flushes: 20 },
  { metrics: 2_000, rows: 1, fields: 1, flushes: 10 },
  { metrics: 20, rows: 2_000, fields: 1, flushes: 25 },
  { metrics: 20, rows: 50, fields: 10, flushes: 100 },
  { metrics: 20, rows: 2_000, fields: 10, flushes: 10 },
];

/** A chunk that is filled from one buffer per column; VARCHAR columns have none. */
interface Columns {
  readonly chunk: DuckDBDataChunk;
  readonly buffers: readonly (Buffer | undefined)[];
}

const column = (columns: Columns, c: number) => duckdb.data_chunk_get_vector(columns.chunk.chunk, c);

function createColumns(types: readonly DuckDBType[]): Columns {
  const buffers = types.map((type) => {
    if (type === INTEGER) return new Int32Array(CHUNK_ROWS);
    if (type === TIMESTAMP_NS) return new BigInt64Array(CHUNK_ROWS);
    return type === DOUBLE ? new Float64Array(CHUNK_ROWS) : undefined;
  });
  return { chunk: DuckDBDataChunk.create(types), buffers };
}

function append(columns: Columns, rows: number, appender: DuckDBAppender): void {
  columns.chunk.rowCount = rows;
  for (const [c, buffer] of columns.buffers.entries()) {
    if (buffer === undefined) continue;
    const bytes = rows * buffer.BYTES_PER_ELEMENT;
    duckdb.copy_data_to_vector(column(columns, c), 0, buffer.buffer, 0, bytes);
  }
  appender.appendDataChunk(columns.chunk);
  columns.chunk.reset();
}

/** Column names and types of a layout's tables; the metric, the series and the time come first. */
function tableColumns(layout: Layout, fields: number): [name: string, type: DuckDBType][] {
  const values = Array.from({ length: fields }, (_, f): [string, DuckDBType] => [`f${f}`, DOUBLE]);
  const ids = (names: string[]) => names.map((name): [string, DuckDBType] => [name, INTEGER]);
  const time: [string, DuckDBType] = ['time', TIMESTAMP_NS];
  if (layout === 'long') return [...ids(['field', 'series']), time, ['value', DOUBLE]];
  if (layout === 'wide') return [...ids(['metric', 'series']), time, ...values];
  if (layout === 'series') return [...ids(['series']), time, ...values];
  return [['host', VARCHAR], ['dc', VARCHAR], ['cpu', VARCHAR], time, ...values];
}

async function createTables(
  connection: DuckDBConnection,
  layout: Layout,
  shape: Shape,
): Promise<DuckDBAppender[]> {
  const shared = layout === 'long' || layout === 'wide';
  const columns = tableColumns(layout, shape.fields).map(([name, type]) => `${name} ${type.toString()}`);
  const appenders: DuckDBAppender[] = [];
  for (let t = 0; t < (shared ? 1 : shape.metrics); t++) {
    await connection.run(`CREATE TABLE points${t} (${columns.join(', ')})`);
    appenders.push(await connection.createAppender(`points${t}`));
  }
  return appenders;
}

interface Target {
  readonly layout: Layout;
  readonly fields: number;
  readonly columns: Columns;
  readonly appenders: readonly DuckDBAppender[];
}

/** Appends the rows of a flush; their values differ, as measured values do. */
function appendFlush(target: Target, { metrics, rows }: Shape, flush: number): void {
  const { layout, fields, columns, appenders } = target;
  const shared = appenders.length === 1;
  const cells = layout === 'long' ? fields : 1;
  const nowNs = START_NS + BigInt(flush) * 1_000_000_000n;
  let at = 0;
  const flushTo = (appender: DuckDBAppender): void => {
    if (at > 0) append(columns, at, appender);
    at = 0;
  };
  for (let metric = 0; metric < metrics; metric++) {
    const appender = appenders[shared ? 0 : metric] as DuckDBAppender;
    for (let cell = 0; cell < rows * cells; cell++) {
      const row = Math.floor(cell / cells);
      const timeNs = nowNs + BigInt(Math.floor(row / SERIES_PER_METRIC)) * 1_000_000n;
      fillRow(target, at++, {
        id: metric * cells + (cell % cells),
        row,
        timeNs,
        value: flush * 7 + cell + metric,
      });
      if (at === CHUNK_ROWS) flushTo(appender);
    }
    if (shared) continue;
    flushTo(appender);
    appender.flushSync();
  }
  flushTo(appenders[0] as DuckDBAppender);
  if (shared) appenders[0]?.flushSync();
}

interface Row {
  /** The metric, or its field. */
  readonly id: number;
  readonly row: number;
  readonly timeNs: bigint;
  readonly value: number;
}

function fillRow({ layout, columns }: Target, at: number, { id, row, timeNs, value }: Row): void {
  const { buffers } = columns;
  const series = row % SERIES_PER_METRIC;
  let c = 0;
  if (layout === 'tags') {
    for (; c < 3; c++)
      duckdb.vector_assign_string_element(column(columns, c), at, TAGS[c]?.[series] as string);
  } else {
    if (layout !== 'series') (buffers[c++] as Int32Array)[at] = id;
    (buffers[c++] as Int32Array)[at] = id * SERIES_PER_METRIC + series;
  }
  (buffers[c++] as BigInt64Array)[at] = timeNs;
  for (; c < buffers.length; c++)
    (buffers[c] as Float64Array)[at] = VALUES[(value + c) % VALUES.length] as number;
}

async function withFile<T>(body: (connection: DuckDBConnection, path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-layout-'));
  const path = join(folder, 'bench.duckdb');
  const instance = await DuckDBInstance.create(path, { threads: '1' });
  const connection = await instance.connect();
  try {
    return await body(connection, path);
  } finally {
    connection.closeSync();
    instance.closeSync();
    await rm(folder, { recursive: true });
  }
}

/** Writes and merges the log; the cost of a flush includes making its rows up. */
async function writeFlushes(connection: DuckDBConnection, layout: Layout, shape: Shape) {
  const appenders = await createTables(connection, layout, shape);
  const columns = createColumns(tableColumns(layout, shape.fields).map(([, type]) => type));
  const target = { layout, fields: shape.fields, columns, appenders };
  const cpu = process.cpuUsage();
  const begin = performance.now();
  for (let flush = 0; flush < shape.flushes; flush++) {
    await connection.run('BEGIN');
    appendFlush(target, shape, flush);
    await connection.run('COMMIT');
  }
  const ms = performance.now() - begin;
  await connection.run('CHECKPOINT');
  const { user, system } = process.cpuUsage(cpu);
  return { ms, cpuMicros: user + system };
}

async function benchWrites(layout: Layout, shape: Shape): Promise<void> {
  await withFile(async (connection, path) => {
    const { ms, cpuMicros } = await writeFlushes(connection, layout, shape);
    const points = shape.metrics * shape.rows * shape.flushes;
    const { size } = await stat(path);
    const result = {
      layout,
      ...shape,
      msPerFlush: Number((ms / shape.flushes).toFixed(2)),
      pointsPerSecond: Math.round((points / ms) * 1_000),
      cpuSecondsPerMillion: Number((cpuMicros / points).toFixed(2)),
      bytesPerPoint: Number((size / points).toFixed(1)),
    };
    console.log(JSON.stringify(result));
  });
}

const DEDUPED =
  'SELECT series, time, arg_max(value, rowid) AS value FROM points0 WHERE field = 7 GROUP BY series, time';
const PLAIN = 'SELECT series, time, value FROM points0 WHERE field = 7';
const QUERIES = [
  'SELECT count(*), max(value) FROM v',
  "SELECT count(*), max(value) FROM v WHERE time BETWEEN '2023-11-14 22:15:00' AND '2023-11-14 22:16:00'",
  "SELECT count(*), max(value) FROM v WHERE host = 'host7'",
];

/** Reads one metric of `metrics`, 5 million rows in all, with the last write of each point alone and without. */
async function benchReads(metrics: number): Promise<void> {
  await withFile(async (connection) => {
    const shape = { metrics, rows: 50, fields: 1, flushes: Math.round(5_000_000 / 50 / metrics) };
    await writeFlushes(connection, 'long', shape);
    await connection.run(`CREATE TABLE series AS SELECT range::INTEGER AS id, ['host' || range % ${SERIES_PER_METRIC}] AS tags
      FROM range(${metrics * SERIES_PER_METRIC})`);
    for (const [view, points] of Object.entries({ lastWrite: DEDUPED, allWrites: PLAIN })) {
      await connection.run(`CREATE OR REPLACE VIEW v AS SELECT p.time, s.tags[1] AS host, p.value
        FROM (${points.replace('field = 7', `field = ${metrics > 7 ? 7 : 0}`)}) p JOIN series s ON s.id = p.series`);
      for (const query of QUERIES)
        console.log(JSON.stringify({ metrics, view, query, ms: await median(connection, query) }));
    }
  });
}

async function median(connection: DuckDBConnection, query: string): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < 5; run++) {
    const begin = performance.now();
    await connection.runAndReadAll(query);
    times.push(performance.now() - begin);
  }
  return Number((times.sort((a, b) => a - b)[2] ?? 0).toFixed(1));
}

const what = process.argv[2];
if (what !== 'read') {
  for (const shape of SHAPES) {
    for (const layout of ['tags', 'series', 'wide', 'long'] as const) await benchWrites(layout, shape);
  }
}
if (what !== 'write') for (const metrics of [200, 1]) await benchReads(metrics);

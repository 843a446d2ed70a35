/** A process that opens a database file, writes one point, says so on stdout, and waits to be killed. */

import { openDuckDb } from '../../src/sink/duckdb/open.ts';
import { DUCKDB_OPTIONS, SILENT } from './duckdb.ts';
import { createTestSource } from './points.ts';

const path = process.argv[2] as string;
const { signal } = new AbortController();
const sink = await openDuckDb({ ...DUCKDB_OPTIONS, path }, { logger: SILENT });
const id = { database: 'public', table: 'm' };
await sink.ddl.createDatabase('public', signal);
await sink.ddl.createTable(
  { id, source: 'influx', columns: [{ name: 'value', kind: 'field', type: 'float64' }] },
  signal,
);
const point = { table: 'm', timeNs: 5n, fields: [['value', ['float64', 1.25]] as const] };
await sink.writer.write([createTestSource('public').batch([point])], signal);
process.stdout.write('written\n');
process.stdin.resume();

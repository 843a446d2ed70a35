/**
 * What Sluice replaces, as a process: the ingestion side of a database that creates tables by itself and keeps every
 * attempt as a task in etcd, one key each, failed ones for ever (GreptimeDB v0.13, issue 5789). Known tables are
 * written. It exists for the comparison only; the gateway has no such mode.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Etcd3 } from 'etcd3';
import { createCall } from '../helpers/remote-sink.ts';

interface Point {
  readonly metric: string;
}

/** Bytes of a task's value; one that carries a table's schema, and is written once. */
const TASK_BYTES = 1_000;

const { UNGUARDED_ID: id = '', UNGUARDED_DATABASE: url = '', UNGUARDED_ETCD: hosts = '' } = process.env;
const etcd = new Etcd3({ hosts });
const ask = createCall(`${url}/${id}`);
const known = new Set<string>();
let tasks = 0;

const server = createServer((request, response) => {
  void handle(request).then(
    (status) => response.writeHead(status).end(),
    () => response.writeHead(500).end(),
  );
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
process.once('SIGTERM', () => process.exit(0));

async function handle(request: IncomingMessage): Promise<number> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const points = JSON.parse(Buffer.concat(chunks).toString()) as Point[];
  const counts = new Map<string, number>();
  for (const { metric } of points) counts.set(metric, (counts.get(metric) ?? 0) + 1);
  const unknown = [...counts.keys()].filter((table) => !known.has(table));
  const made = await Promise.all(unknown.map(create));
  const rows = [...counts].filter(([table]) => known.has(table));
  if (rows.length > 0) {
    const tables = rows.map(([table, count]) => [{ database: 'public', table }, count] as const);
    await ask({ call: 'write', tables });
  }
  return made.every(Boolean) ? 204 : 500;
}

/** Creates the table: the task first, then the attempt; the task of a success is taken away, that of a failure stays. */
async function create(table: string): Promise<boolean> {
  const key = `/ddl/tasks/${id}-${String(tasks++).padStart(10, '0')}`;
  const task = JSON.stringify({ table, state: 'prepare' });
  await etcd.put(key).value(task.padEnd(TASK_BYTES));
  const columns = [{ name: 'value', kind: 'field', type: 'float64' }] as const;
  const result = (await ask({ call: 'create', id: { database: 'public', table }, columns })) as {
    kind: string;
  };
  if (result.kind !== 'done') return false;
  known.add(table);
  await etcd.delete().key(key);
  return true;
}

/** A gateway's side of `fake-database.ts`: the whole contract of a sink, by one HTTP call each. */

import { Agent, request } from 'node:http';
import type { ColumnSpec } from '../../src/model/column.ts';
import type { PointBatch } from '../../src/model/point-batch.ts';
import type { DatabaseInventory, DdlExecutor, DdlResult, Sink } from '../../src/model/sink.ts';
import { WriteError } from '../../src/model/sink.ts';
import { type TableId, tableKey } from '../../src/model/table.ts';
import type { Request } from './fake-database.ts';

/** Asks the database. Rejects when there is no whole answer. */
export type Call = (request: Request, signal?: AbortSignal) => Promise<unknown>;

/** The sink; `gateway` is who the database says the statements are from. */
export function createRemoteSink(url: string, gateway: string): Sink {
  const call = createCall(`${url}/${gateway}`);
  return {
    names: { checkDatabase: () => undefined, checkTable: () => undefined, checkColumn: () => undefined },
    ddl: createExecutor(call),
    writer: {
      async write(batches, signal) {
        let missing: TableId[];
        try {
          missing = (await call(
            { call: 'write', tables: [...countRows(batches).values()] },
            signal,
          )) as TableId[];
        } catch (cause) {
          throw new WriteError({ kind: 'ambiguous', code: 'LINK', message: String(cause) }, { cause });
        }
        if (missing.length > 0) throw new WriteError({ kind: 'missing', tables: missing });
      },
    },
    close: () => Promise.resolve(),
  };
}

/** By node:http: fetch costs three times as much, which the load tests would count as the gateway's. */
export function createCall(url: string): Call {
  const writes = new Agent({ keepAlive: true, maxSockets: 16 });
  const others = new Agent({ keepAlive: true, maxSockets: 64 });
  return (asked, signal) => {
    const body = JSON.stringify(asked);
    const headers = { 'content-length': Buffer.byteLength(body) };
    const agent = asked.call === 'write' ? writes : others;
    return new Promise((resolve, reject) => {
      const sent = request(url, { method: 'POST', headers, agent, ...(signal && { signal }) });
      sent.on('error', reject);
      sent.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
        response.on('error', reject);
      });
      sent.end(body);
    });
  };
}

function createExecutor(call: Call): DdlExecutor {
  const ddl = async (request: Request, signal: AbortSignal): Promise<DdlResult> => {
    try {
      return (await call(request, signal)) as DdlResult;
    } catch (error) {
      return { kind: 'ambiguous', code: 'LINK', message: String(error) };
    }
  };
  return {
    async describe(ids, signal) {
      const found = (await call({ call: 'describe', ids }, signal)) as (ColumnSpec[] | null)[];
      return found.map((columns) => (columns === null ? undefined : { columns }));
    },
    inventory: async (signal) => (await call({ call: 'inventory' }, signal)) as DatabaseInventory[],
    createDatabase: (database, signal) => ddl({ call: 'database', database }, signal),
    createTable: ({ id, columns }, signal) => ddl({ call: 'create', id, columns }, signal),
    addColumns: (id, columns, signal) => ddl({ call: 'widen', id, columns }, signal),
  };
}

/** Rows to be written per table. */
function countRows(batches: readonly PointBatch[]): Map<string, [TableId, number]> {
  const counts = new Map<string, [TableId, number]>();
  for (const batch of batches) {
    for (const { table, firstRow } of batch.groups.slice(0, batch.groupCount)) {
      let rows = 0;
      for (let row = firstRow; row >= 0; row = batch.nextRow[row] as number)
        rows += batch.skip[row] === 0 ? 1 : 0;
      if (rows === 0) continue;
      const id = { database: table.database, table: table.name };
      const count = counts.get(tableKey(id)) ?? [id, 0];
      count[1] += rows;
      counts.set(tableKey(id), count);
    }
  }
  return counts;
}

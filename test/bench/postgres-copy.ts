/** COPY of rows, pipelined as the sink's statements are, for benchmarks beside it; and what processes have used. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Client, Connection } from 'pg';

/** A row in COPY's binary format, with the number of its table first. */
export function copyRow(
  ...[table, micros, key, host, value]: [number, number, Buffer, string, number]
): Buffer {
  const row = Buffer.alloc(2 + 8 + 12 + 20 + 6 + 4 + host.length + 12);
  let at = row.writeInt16BE(6);
  const sized = (bytes: number): number => (at = row.writeInt32BE(bytes, at));
  at = row.writeInt32BE(table, sized(4));
  at = row.writeBigInt64BE(BigInt(micros) - 946_684_800_000_000n, sized(8));
  at = sized(16) + key.copy(row, at);
  at = row.writeInt16BE(0, sized(2));
  at = sized(host.length) + row.write(host, at);
  row.writeDoubleBE(value, sized(8));
  return row;
}

/** The row without its first value. */
export function withoutTable(row: Buffer): Buffer {
  const rest = row.subarray(8);
  rest.writeInt16BE(5);
  return rest;
}

const COPY_HEAD = Buffer.concat([Buffer.from('PGCOPY\n\u00ff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const COPY_END = Buffer.from([0xff, 0xff]);

/** Sends statements and COPY data at once, with one Sync. */
export function pipelined(
  client: Client,
  steps: readonly { sql: string; copy?: readonly Buffer[] }[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    let error: unknown;
    client.query({
      submit(connection: Connection & { sendCopyFromChunk(chunk: Buffer): void; endCopyFrom(): void }) {
        connection.stream.cork();
        for (const { sql, copy } of steps) {
          connection.parse({ name: '', text: sql, types: [] }, true);
          connection.bind({}, true);
          connection.execute({}, true);
          if (copy === undefined) continue;
          connection.sendCopyFromChunk(Buffer.concat([COPY_HEAD, ...copy, COPY_END]));
          connection.endCopyFrom();
        }
        connection.sync();
        connection.stream.uncork();
        connection.once('readyForQuery', () => (error === undefined ? resolve() : reject(error as Error)));
        return null;
      },
      handleError: (cause: unknown) => (error = cause),
      handleReadyForQuery: () => undefined,
      handleCommandComplete: () => undefined,
      handleCopyInResponse: () => undefined,
    } as never);
  });
}

/** CPU seconds of a process. */
export function cpuOf(pid: number): number {
  return ticksOf(pid, [11, 12]);
}

/** Seconds in these fields of a process' state, counted from the one after its name; user and system time. */
function ticksOf(pid: number, [user, system]: readonly [number, number]): number {
  const fields = (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1] ?? '').split(' ');
  return (Number(fields[user]) + Number(fields[system])) / 100;
}

/** CPU seconds of all processes that this one has begun, those that have ended included. */
export function cpuOfChildren(pid: number): number {
  let seconds = ticksOf(pid, [13, 14]);
  for (const child of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const parent = (readFileSync(`/proc/${child}/stat`, 'utf8').split(') ')[1] ?? '').split(' ')[1];
      if (Number(parent) === pid) seconds += cpuOf(Number(child));
    } catch {
      // It has ended since the folder was read.
    }
  }
  return seconds;
}

/** Looks at the database after the crashes: is every acknowledged point there, once, and the latest where it replaced? */
import { query } from '../helpers/gateway.ts';
import { pointsOf, type Sender } from './senders.ts';

/** What was found wrong, one sentence each, and how many points were looked at. */
export interface Findings {
  readonly points: number;
  readonly faults: readonly string[];
}

type Row = readonly [time: string, value: number];

const SHOWN = 20;

/** Compares what the senders know with what the database has. */
export async function verify(url: string, senders: readonly Sender[]): Promise<Findings> {
  const faults: string[] = [];
  let points = 0;
  for (const sender of senders) {
    const expected = expectedOf(sender, sender.acknowledged);
    // The batch that was under way may be there too, whole or in part.
    const allowed = expectedOf(sender, sender.acknowledged + 1);
    for (const [table, values] of expected) {
      const found = await rowsOf(url, table, sender);
      points += values.size;
      faults.push(...compare(`${sender.name}, ${table}`, values, allowed.get(table) ?? values, found));
    }
  }
  return { points, faults: faults.slice(0, SHOWN) };
}

/** Value by time and table, after `batches` batches. */
function expectedOf(sender: Sender, batches: number): Map<string, Map<string, number>> {
  const tables = new Map<string, Map<string, number>>();
  const offset = sender.dialect === 'line' ? 0 : Date.UTC(2026, 0);
  for (let batch = 0; batch < batches; batch++) {
    for (const { table, value, time } of pointsOf(sender, batch)) {
      const values = tables.get(table) ?? new Map<string, number>();
      tables.set(table, values.set(String(time + offset), value));
    }
  }
  return tables;
}

async function rowsOf(url: string, table: string, { name, dialect }: Sender): Promise<readonly Row[]> {
  const [value, time] = dialect === 'line' ? ['n', 'epoch_ns(time)'] : ['value', 'epoch_ms(time)'];
  const sql = `SELECT ${time}, ${value} FROM "${table}" WHERE w = '${name}'`;
  const rows = JSON.parse(await query(url, sql).catch(() => '[]')) as [number, number][];
  return rows.map(([at, number]) => [String(at), number]);
}

function compare(
  what: string,
  expected: ReadonlyMap<string, number>,
  allowed: ReadonlyMap<string, number>,
  found: readonly Row[],
): readonly string[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  for (const [time, value] of found) {
    if (seen.has(time)) faults.push(`${what}: time ${time} is there twice`);
    seen.add(time);
    if (value === expected.get(time) || value === allowed.get(time)) continue;
    faults.push(`${what}: at ${time} ${value} instead of ${expected.get(time) ?? 'nothing'}`);
  }
  for (const [time, value] of expected) {
    if (!seen.has(time)) faults.push(`${what}: ${value} at ${time} is lost`);
  }
  return faults;
}

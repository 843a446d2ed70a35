/**
 * Senders of numbered points that know what was acknowledged. Each sends a batch again until it is acknowledged, as
 * agents do, and only then the next, so the order of its points is defined. A batch holds new points of five tables,
 * a point that replaces one of sixteen earlier ones, and now and then the first point of a table never seen before.
 */
import { post } from '../helpers/gateway.ts';

const POINTS = 20;
const TABLES = 5;
const SLOTS = 16;
/** A batch in so many makes a table. */
const NEW_TABLE_EVERY = 4;

/** Which protocol a sender speaks. */
export type Dialect = 'line' | 'opentsdb';

/** A sender; `acknowledged` batches are the gateway's responsibility. */
export interface Sender {
  readonly name: string;
  readonly dialect: Dialect;
  acknowledged: number;
}

/** One point, whatever the protocol. `time`: nanoseconds of line protocol, milliseconds of OpenTSDB. */
export interface NumberedPoint {
  readonly table: string;
  readonly value: number;
  readonly time: number;
}

/** The points of a sender's batch. */
export function pointsOf({ name, dialect }: Sender, batch: number): readonly NumberedPoint[] {
  const first = batch * POINTS;
  // OpenTSDB's times begin at 1.
  const points = Array.from({ length: POINTS }, (_, i) => ({
    table: `${dialect}_m${(first + i) % TABLES}`,
    value: first + i,
    time: first + i + 1,
  }));
  points.push({ table: `${dialect}_last`, value: batch, time: (batch % SLOTS) + 1 });
  if (batch % NEW_TABLE_EVERY === 0) points.push({ table: `new_${name}_${batch}`, value: batch, time: 1 });
  return points;
}

/** Sends until the gateway is gone. @throws when a batch is refused for good */
export async function sendUntilGone(url: string, sender: Sender, onAcknowledged: () => void): Promise<void> {
  const path = sender.dialect === 'line' ? '/write?db=public' : '/api/put';
  for (;;) {
    const answer = await post(`${url}${path}`, bodyOf(sender)).catch(() => undefined);
    if (answer === undefined) return;
    if (answer.status === 503) continue;
    if (answer.status !== 204) throw new Error(`${sender.name}: ${answer.status} ${answer.text}`);
    sender.acknowledged++;
    onAcknowledged();
  }
}

function bodyOf(sender: Sender): string {
  const points = pointsOf(sender, sender.acknowledged);
  if (sender.dialect === 'line') {
    return points.map(({ table, value, time }) => `${table},w=${sender.name} n=${value}i ${time}`).join('\n');
  }
  const put = points.map(({ table, value, time }) => ({
    metric: table,
    timestamp: Date.UTC(2026, 0) + time,
    value,
    tags: { w: sender.name },
  }));
  return JSON.stringify(put);
}

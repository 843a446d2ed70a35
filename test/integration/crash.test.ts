/** What was acknowledged is in the database, once, however often the gateway is killed under load. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Gateway, post, query, startGateway, temporaryFolder } from '../helpers/gateway.ts';

const ROUNDS = 4;
const SENDERS = 4;
const POINTS = 50;

/** A sender of numbered points, which sends a batch again until it is acknowledged, as clients do. */
interface Sender {
  readonly name: string;
  acknowledged: number;
}

/** Points `batch * POINTS` to the next batch's; every eighth batch makes a table, too, so that DDL is under way. */
function bodyOf({ name, acknowledged: batch }: Sender): string {
  const first = batch * POINTS;
  const points = Array.from({ length: POINTS }, (_, i) => `m,sender=${name} n=${first + i}i ${first + i}`);
  if (batch % 8 === 0) points.push(`new_${name}_${batch} n=${batch}i 1`);
  return points.join('\n');
}

/** Sends until the gateway is gone. */
async function send({ url }: Gateway, sender: Sender, onAcknowledged: () => void): Promise<void> {
  for (;;) {
    const answer = await post(`${url}/write?db=d`, bodyOf(sender)).catch(() => undefined);
    if (answer === undefined) return;
    if (answer.status === 503) continue;
    assert.equal(answer.status, 204, answer.text);
    sender.acknowledged++;
    onAcknowledged();
  }
}

/** Kills the gateway once it has acknowledged so many batches, and meanwhile works on the next. */
async function killUnderLoad(gateway: Gateway, senders: readonly Sender[], batches: number): Promise<void> {
  let left = batches;
  const onAcknowledged = (): void => {
    if (--left === 0) gateway.child.kill('SIGKILL');
  };
  await Promise.all(senders.map((sender) => send(gateway, sender, onAcknowledged)));
  assert.ok(left <= 0, 'the gateway went away too early');
}

async function assertStored({ url }: Gateway, senders: readonly Sender[]): Promise<void> {
  const rows = JSON.parse(
    await query(url, 'SELECT sender, n, epoch_ns(time) FROM m', 'd').catch(() => '[]'),
  ) as [string, number, number][];
  for (const { name, acknowledged } of senders) {
    const numbers = rows.filter(([sender]) => sender === name).map(([, n]) => n);
    const expected = Array.from({ length: acknowledged * POINTS }, (_, n) => n);
    // The batch that was under way may be there, too, but only whole.
    const more = numbers.length - expected.length;
    assert.ok(
      more === 0 || more === POINTS,
      `${name}: ${numbers.length} points, ${expected.length} acknowledged`,
    );
    assert.deepEqual(numbers.sort((a, b) => a - b).slice(0, expected.length), expected);
    for (let batch = 0; batch < acknowledged; batch += 8)
      assert.equal(await query(url, `SELECT n, time FROM new_${name}_${batch}`, 'd'), `[[${batch},1]]`);
  }
  assert.ok(rows.every(([, n, time]) => n === time));
}

describe('kill -9 under load', () => {
  it('loses no acknowledged point and shows none twice', async (t) => {
    const folder = temporaryFolder(t);
    const senders = Array.from({ length: SENDERS }, (_, i): Sender => ({ name: `s${i}`, acknowledged: 0 }));
    const env = { SLUICE_SQL_MAX_ROWS: '1000000' };
    for (let round = 0; round < ROUNDS; round++) {
      const gateway = await startGateway(t, folder, env);
      await assertStored(gateway, senders);
      await killUnderLoad(gateway, senders, 10 + 7 * round);
    }
    const gateway = await startGateway(t, folder, env);
    await assertStored(gateway, senders);
    assert.equal(await gateway.stop(), 0);
  });
});

/** A short run of the fuzzer, and faults planted to show that it would find them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { SEEDS } from '../fuzz/cases.ts';
import { answersIn, send } from '../fuzz/connection.ts';
import { faultsOf, fuzz } from '../fuzz/run.ts';
import { temporaryFolder } from '../helpers/gateway.ts';

const CASES = 2_000;
const ALIVE = { exitCode: null, signalCode: null };

describe('the fuzzer', () => {
  it('finds nothing wrong with the gateway', async (t) => {
    const options = { folder: temporaryFolder(t), seed: 1, more: (done: number) => done < CASES };
    const { cases, answers, failures, statuses } = await fuzz(t, options);
    assert.deepEqual(failures, []);
    assert.ok(cases >= CASES && answers > 100 && (statuses.get('204') ?? 0) > 0);
  });

  it('sees an answer that blames the gateway', async (t) => {
    const faults = await faultsOfServer(t, (socket) =>
      socket.end('HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}'),
    );
    assert.deepEqual(faults, ['answered 500: {}']);
  });

  it('sees a connection that is never ended', async (t) => {
    const faults = await faultsOfServer(t, () => undefined);
    assert.match(faults.join(), /not ended/);
  });

  it('sees a gateway that ended', async () => {
    const faults = faultsOf(
      { received: Buffer.alloc(0), hung: false },
      { child: { ...ALIVE, signalCode: 'SIGSEGV' } },
    );
    assert.deepEqual(faults, ['the gateway ended: SIGSEGV']);
  });

  it('tells the answers on one connection apart', () => {
    const text = 'HTTP/1.1 400 Bad\r\nA: b\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 204 No Content\r\n\r\n';
    assert.deepEqual(answersIn(Buffer.from(text)), [
      { status: 400, body: 'abc' },
      { status: 204, body: '' },
    ]);
  });
});

/** What it says of a server that does this with each connection. */
async function faultsOfServer(
  t: TestContext,
  behave: (socket: Socket) => unknown,
): Promise<readonly string[]> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined).resume();
    t.after(() => socket.destroy());
    behave(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const exchange = await send(port, { bytes: SEEDS[0]?.body ?? Buffer.alloc(1), cuts: [] }, 200);
  return faultsOf(exchange, { child: ALIVE });
}

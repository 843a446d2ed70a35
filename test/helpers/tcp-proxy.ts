/**
 * A TCP proxy on a free loopback port that can be told to misbehave: cut connections, refuse them, keep them open and
 * pass nothing (a black hole), pass one direction only (requests arrive, answers are dropped), or be slow.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cleanup } from './etcd.ts';

/** From the client to the server, or from the server to the client. */
export type Direction = 'requests' | 'answers';

/** See the module comment. What is set holds for open connections and new ones, until `heal`. */
export interface TcpProxy {
  readonly port: number;
  /** Ends all open connections at once. */
  cut(): void;
  /** New connections are closed at once. */
  refuse(): void;
  /** What is sent this way vanishes; undefined: both ways. */
  drop(direction?: Direction): void;
  /** What is sent this way arrives so much later, in order. */
  delay(direction: Direction, ms: number): void;
  /** Passes everything again, but for connections from which something was dropped: they stay black holes. */
  heal(): void;
  /** Resolves when something was dropped since `drop` was called. */
  dropped(): Promise<void>;
  close(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  damaged: boolean;
  dead: boolean;
}

interface Faults {
  readonly dropping: Set<Direction>;
  readonly delayMs: Map<Direction, number>;
  refusing: boolean;
  onDropped: (() => void)[];
}

/** Starts a proxy to a loopback port; it is closed at the end of the test. */
export async function startTcpProxy(cleanup: Cleanup, targetPort: number): Promise<TcpProxy> {
  const faults: Faults = { dropping: new Set(), delayMs: new Map(), refusing: false, onDropped: [] };
  const pairs = new Set<Pair>();
  const server = createServer((client) => {
    if (faults.refusing) client.destroy();
    else open(client);
  });
  const open = (client: Socket): void => {
    const pair = { client, server: connect(targetPort, '127.0.0.1'), damaged: false, dead: false };
    pairs.add(pair);
    pass(pair, 'requests', faults);
    pass(pair, 'answers', faults);
    for (const socket of [pair.client, pair.server]) {
      socket.on('error', () => undefined);
      socket.on('close', () => {
        pairs.delete(pair);
        end(pair);
      });
    }
  };
  const close = async (): Promise<void> => {
    for (const pair of pairs) end(pair);
    if (!server.listening) return;
    server.close();
    await once(server, 'close');
  };
  cleanup.after(close);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => pairs.forEach(end),
    refuse: () => void (faults.refusing = true),
    drop: (direction) => {
      for (const each of direction === undefined ? (['requests', 'answers'] as const) : [direction])
        faults.dropping.add(each);
    },
    delay: (direction, ms) => void faults.delayMs.set(direction, ms),
    heal: () => {
      faults.dropping.clear();
      faults.delayMs.clear();
      faults.refusing = false;
      for (const pair of pairs) pair.dead = pair.damaged;
    },
    dropped: () => new Promise((resolve) => faults.onDropped.push(resolve)),
    close,
  };
}

function pass(pair: Pair, direction: Direction, faults: Faults): void {
  const [from, to] = direction === 'requests' ? [pair.client, pair.server] : [pair.server, pair.client];
  let last: Promise<void> = Promise.resolve();
  const send = async (
    before: Promise<void>,
    due: Promise<void> | undefined,
    chunk: Buffer,
  ): Promise<void> => {
    await before;
    await due;
    if (to.writable) to.write(chunk);
  };
  from.on('data', (chunk: Buffer) => {
    if (pair.dead || faults.dropping.has(direction)) {
      pair.damaged = true;
      for (const tell of faults.onDropped.splice(0)) tell();
      return;
    }
    const ms = faults.delayMs.get(direction) ?? 0;
    const due = ms === 0 ? undefined : delay(ms);
    last = send(last, due, chunk);
  });
}

/** No reset: after one, Node 20 sometimes spins for ever when the process ends, waiting for a request of the socket. */
function end({ client, server }: Pair): void {
  client.destroy();
  server.destroy();
}

/**
 * Senders of numbered points, each with a connection and a series of its own: point n has time n and value n. A sender
 * goes on from what was acknowledged, so that at any moment all numbers below `acknowledged` have to be stored.
 */
import { connect, type Socket } from 'node:net';

/** How a sender speaks. */
export type SenderKind = 'keep-alive' | 'pipelined' | 'telnet';

/** What a sender has done. */
export interface SenderReport {
  readonly host: string;
  readonly acknowledged: number;
  /** Answers other than 204, by status, and `closed` for connections that ended by themselves. */
  readonly others: ReadonlyMap<string, number>;
}

const POINTS = 10;
const WINDOW = 4;
/** Lines of a telnet sender's write. */
const LINES = 50;

/** Sends until `more` says no; then it ends its connection and waits for the gateway's end of it. */
export async function runSender(
  kind: SenderKind,
  { port, host, more }: { readonly port: number; readonly host: string; readonly more: () => boolean },
): Promise<SenderReport> {
  const others = new Map<string, number>();
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => socket.destroy());
  const acknowledged =
    kind === 'telnet'
      ? await sendLines(socket, host, more)
      : await sendRequests(socket, { kind, host, more, others });
  socket.end();
  socket.once('end', () => socket.destroy());
  if (socket.readableEnded) socket.destroy();
  socket.resume();
  await closed;
  return { host, acknowledged, others };
}

interface Requests {
  readonly kind: SenderKind;
  readonly host: string;
  readonly more: () => boolean;
  readonly others: Map<string, number>;
}

async function sendRequests(socket: Socket, { kind, host, more, others }: Requests): Promise<number> {
  const answers = statusesOf(socket);
  let acknowledged = 0;
  while (more() && !socket.destroyed) {
    const count = kind === 'pipelined' ? WINDOW : 1;
    for (let i = 0; i < count; i++)
      socket.write(request(host, acknowledged + i * POINTS, kind === 'pipelined'));
    let taken = true;
    for (let i = 0; i < count; i++) {
      const status = await answers.next();
      if (status !== 204) others.set(String(status), (others.get(String(status)) ?? 0) + 1);
      // What comes after a refused one is sent again, too.
      taken &&= status === 204;
      if (taken) acknowledged += POINTS;
    }
  }
  return acknowledged;
}

/** Telnet acknowledges by taking the bytes: what was written before an orderly end has to be stored. */
async function sendLines(socket: Socket, host: string, more: () => boolean): Promise<number> {
  let sent = 0;
  while (more() && !socket.destroyed) {
    const lines = Array.from(
      { length: LINES },
      (_, i) => `put load ${sent + i + 1} ${sent + i} host=${host}\n`,
    );
    await new Promise<void>((resolve) => socket.write(lines.join(''), () => resolve()));
    sent += LINES;
  }
  return socket.destroyed ? 0 : sent;
}

/** The statuses of the answers, in order; -1 when the connection ended. All answers to these requests have no body but errors. */
function statusesOf(socket: Socket): { next(): Promise<number> } {
  const found: number[] = [];
  let wake: (() => void) | undefined;
  let rest = '';
  const ended = (): boolean => socket.destroyed || socket.readableEnded;
  socket.on('data', (chunk: Buffer) => {
    rest += chunk.toString('latin1');
    for (;;) {
      const match = /^HTTP\/1\.1 (\d{3})[^\r]*((?:\r\n[^\r]+)*)\r\n\r\n/.exec(rest);
      if (match === null) break;
      const length = Number(/content-length: *(\d+)/i.exec(match[2] ?? '')?.[1] ?? 0);
      if (rest.length < match[0].length + length) break;
      rest = rest.slice(match[0].length + length);
      found.push(Number(match[1]));
    }
    wake?.();
  });
  for (const event of ['end', 'close'] as const) socket.on(event, () => wake?.());
  return {
    async next() {
      while (found.length === 0 && !ended()) await new Promise<void>((resolve) => (wake = resolve));
      return found.shift() ?? -1;
    },
  };
}

/** Both protocols take turns between the kinds of senders. */
function request(host: string, first: number, line: boolean): string {
  const numbers = Array.from({ length: POINTS }, (_, i) => first + i);
  const body = line
    ? numbers.map((n) => `load,host=${host} value=${n} ${n + 1}`).join('\n')
    : JSON.stringify(numbers.map((n) => ({ metric: 'load', timestamp: n + 1, value: n, tags: { host } })));
  const path = line ? '/write?db=public&precision=s' : '/api/put';
  return `POST ${path} HTTP/1.1\r\nHost: load\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** Sends a case over a connection of its own, half-closes it, and reads until the gateway closes its side, too. */
import { connect } from 'node:net';
import type { FuzzCase } from './cases.ts';

/** What came back. */
export interface Exchange {
  readonly received: Buffer;
  /** The gateway did not end the connection within the limit. */
  readonly hung: boolean;
}

/** Sends the bytes; `limitMs` bounds the whole of it. */
export async function send(port: number, { bytes, cuts }: FuzzCase, limitMs: number): Promise<Exchange> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // A connection that is reset is an answer like any other.
  socket.on('error', () => socket.destroy());
  const closed = new Promise((resolve) => socket.once('close', resolve));
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    socket.destroy();
  }, limitMs);
  try {
    const places = [0, ...cuts, bytes.length];
    for (let i = 1; i < places.length && !socket.destroyed; i++) {
      const piece = bytes.subarray(places[i - 1], places[i]);
      await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
    }
    socket.end();
    socket.on('end', () => socket.destroy());
    await closed;
  } finally {
    clearTimeout(timer);
  }
  return { received: Buffer.concat(chunks), hung };
}

/** The statuses of the HTTP answers in what came back, in their order, each with its body's beginning. */
export function answersIn(received: Buffer): readonly { readonly status: number; readonly body: string }[] {
  const text = received.toString('latin1');
  const answers: { status: number; body: string }[] = [];
  for (let at = 0; ; ) {
    const match = /^HTTP\/1\.1 (\d{3})[^\r]*((?:\r\n[^\r]+)*)\r\n\r\n/.exec(text.slice(at));
    if (match === null) return answers;
    const [head, status = '0', headers = ''] = match;
    const length = Number(/^content-length: *(\d+)/im.exec(headers)?.[1] ?? 0);
    answers.push({
      status: Number(status),
      body: text.slice(at + head.length, at + head.length + Math.min(length, 200)),
    });
    at += head.length + length;
  }
}

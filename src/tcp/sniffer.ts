/**
 * Decides by the first byte of a connection which protocol it speaks: OpenTSDB's rule (PipelineFactory), by which `A` to
 * `Z` begin HTTP and everything else is telnet; but a TLS greeting, which no telnet client sends, ends the connection.
 * One byte is enough, nothing waits for more. Connections that never send one are closed after a time, or with `close`.
 */
import type { Socket } from 'node:net';

/** Where connections go. */
export interface SnifferTargets {
  http(socket: Socket): void;
  telnet(socket: Socket): void;
}

/** See the module comment. */
export interface Sniffer {
  take(socket: Socket): void;
  /** Closes the connections that have not sent anything. */
  close(): void;
  /** Connections that have not sent anything. */
  readonly waiting: number;
}

const UPPER_A = 0x41;
const UPPER_Z = 0x5a;
const TLS_HANDSHAKE = 0x16;

/** Makes a sniffer that waits `firstByteMs` at most. */
export function createSniffer(firstByteMs: number, targets: SnifferTargets): Sniffer {
  const waiting = new Set<Socket>();
  const end = (socket: Socket): void => void socket.destroy();

  return {
    take(socket) {
      waiting.add(socket);
      const look = (): void => {
        const chunk = socket.read() as Buffer | null;
        if (chunk === null) return;
        done();
        socket.unshift(chunk);
        const first = chunk[0] as number;
        if (first === TLS_HANDSHAKE) end(socket);
        else if (first >= UPPER_A && first <= UPPER_Z) targets.http(socket);
        else targets.telnet(socket);
      };
      const stop = (): void => {
        done();
        end(socket);
      };
      const done = (): void => {
        waiting.delete(socket);
        socket.setTimeout(0);
        socket
          .off('readable', look)
          .off('timeout', stop)
          .off('end', stop)
          .off('error', stop)
          .off('close', stop);
      };
      socket.on('readable', look).on('timeout', stop).on('end', stop).on('error', stop).on('close', stop);
      socket.setTimeout(firstByteMs);
    },
    close() {
      for (const socket of waiting) end(socket);
    },
    get waiting() {
      return waiting.size;
    },
  };
}

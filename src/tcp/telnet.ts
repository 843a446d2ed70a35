/**
 * OpenTSDB's telnet protocol: serves connections that the sniffer hands over, and ends them when the gateway stops. Who
 * sends is known by a client certificate only, if at all; without one the rights are those of anybody.
 */
import type { Socket } from 'node:net';
import type { Principal } from '../model/access.ts';
import type { Clock } from '../model/clock.ts';
import type { Ingest } from '../model/ingest.ts';
import type { Logger } from '../model/logger.ts';
import type { TelnetParser } from '../model/parse-result.ts';
import type { CommandDeps } from './telnet-commands.ts';
import { serveTelnet, type TelnetConnection } from './telnet-connection.ts';
import type { ReplyMetrics } from './telnet-replies.ts';

/** See docs/configuration.md, `telnet`. */
export interface TelnetOptions {
  /** Database of all points. */
  readonly database: string;
  readonly lineBytes: number;
  readonly idleTimeoutMs: number;
}

/** What is counted. */
export interface TelnetMetrics extends ReplyMetrics {
  points(
    route: 'telnet',
    outcome: 'stored' | 'parked' | 'malformed' | 'rejected' | 'deferred',
    count: number,
  ): void;
  /** A connection was refused for lack of rights. */
  telnetRefused(): void;
}

/** What connections work with. */
export interface TelnetDeps extends CommandDeps {
  readonly ingest: Ingest;
  readonly parser: TelnetParser;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  readonly logger: Logger;
  readonly metrics: TelnetMetrics;
  /** A share of the bytes in flight; `add` throws overload when there is no room. */
  lease(): { add(bytes: number): void; release(): void };
  identify(socket: Socket): Principal | undefined | Promise<Principal | undefined>;
  /** Aborts when the time to finish is over. */
  readonly closing: AbortSignal;
}

/** The connections. */
export interface Telnet {
  serve(socket: Socket): void;
  readonly connections: number;
  /** Takes what has come on each connection, then ends it. Idempotent. */
  close(): Promise<void>;
  /** Ends all connections at once. */
  abort(): void;
}

/** Makes it. */
export function createTelnet(options: TelnetOptions, deps: TelnetDeps): Telnet {
  const open = new Map<Socket, TelnetConnection>();
  return {
    serve(socket) {
      const connection = serveTelnet(socket, options, deps);
      open.set(socket, connection);
      socket.once('close', () => open.delete(socket));
    },
    get connections() {
      return open.size;
    },
    async close() {
      const all = [...open.values()];
      for (const connection of all) connection.stop();
      await Promise.all(all.map(({ ended }) => ended));
    },
    abort() {
      for (const socket of open.keys()) socket.destroy();
    },
  };
}

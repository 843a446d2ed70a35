/** Puts telnet beside HTTP on one port: the sniffer, the connections, and what they work with. See app.ts. */
import type { Base, Core } from './app-base.ts';
import { openTsdbOptions } from './app-options.ts';
import type { BodyReader } from './http/body-reader.ts';
import { certificateCredentials } from './http/client-certificate.ts';
import type { HttpServerDeps } from './http/server.ts';
import type { Access } from './model/access.ts';
import type { BuildInfo } from './model/build-info.ts';
import { createTelnetParser } from './protocol/telnet-put.ts';
import { createSniffer } from './tcp/sniffer.ts';
import { createTelnet } from './tcp/telnet.ts';

/** What telnet shares with HTTP. */
export interface TelnetParts {
  readonly core: Core;
  readonly access: Access;
  readonly bodies: BodyReader;
  readonly build: BuildInfo;
  status(): 'ok' | 'error';
  stats(): Promise<string>;
  readonly closing: AbortSignal;
}

/** Telnet on the server's port. */
export interface OpenedTelnet {
  readonly sniff: NonNullable<HttpServerDeps['sniff']>;
  /** Takes what has come, then ends the connections. */
  close(): Promise<void>;
  /** Ends them at once. */
  abort(): void;
}

/** Undefined: it is switched off. */
export function openTelnet(base: Base, parts: TelnetParts): OpenedTelnet | undefined {
  const { config, clock, logger, metrics, dictionary } = base;
  if (!config.telnet.enabled) return undefined;
  const { lineBytes, idleTimeoutMs } = config.telnet;
  const { core, access, bodies, ...rest } = parts;
  const telnet = createTelnet(
    { database: config.opentsdb.database, lineBytes, idleTimeoutMs },
    {
      ...rest,
      ingest: core.ingest,
      parser: createTelnetParser(dictionary, openTsdbOptions(config)),
      clock,
      logger,
      metrics: {
        points: (...counted) => metrics.http.points(...counted),
        replyDropped: (lines) => metrics.telnet.replyDropped(lines),
        telnetRefused: () => metrics.http.accessRefused('unauthenticated'),
      },
      lease: () => bodies.lease(),
      identify: (socket) => access.identify(certificateCredentials(socket)),
    },
  );
  let http: Parameters<OpenedTelnet['sniff']>[1] = (socket) => socket.destroy();
  const sniffer = createSniffer(config.listen.headersTimeoutMs, {
    http: (socket) => http(socket),
    telnet: (socket) => telnet.serve(socket),
  });
  metrics.gauge('sluice_telnet_connections', 'Open telnet connections.', () => telnet.connections);
  metrics.gauge('sluice_silent_connections', 'Connections that sent nothing yet.', () => sniffer.waiting);
  return {
    sniff(socket, serve) {
      http = serve;
      sniffer.take(socket);
    },
    async close() {
      sniffer.close();
      await telnet.close();
    },
    abort: () => telnet.abort(),
  };
}

/**
 * Opens a GreptimeDB, 0.13 or later. What a human has to put right (a refused user, an address of something else, a
 * version that is too old) fails here with a message that says which; a server that does not answer does not: the
 * gateway starts, says so, and writes as soon as the server is there.
 */
import { readFileSync } from 'node:fs';
import { GatewayError } from '../../errors.ts';
import type { Clock } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import type { Sink } from '../../model/sink.ts';
import { createCatalog } from './catalog.ts';
import { createDdl } from './ddl.ts';
import { LostError, ServerError, wordsOf } from './errors.ts';
import { createHttpClient, type HttpClient, type HttpOptions } from './http.ts';
import { createNameRules, defaultColumn } from './names.ts';
import { createValueRules } from './value-rules.ts';
import { createWriter } from './writer.ts';

/** How to use the database. */
export interface GreptimeDbOptions extends Omit<HttpOptions, 'ca'> {
  /** PEM file with the authority of the server's certificate; empty: those that Node.js knows. */
  readonly caFile: string;
  /** GreptimeDB's `default_column_prefix`. */
  readonly columnPrefix: string;
  /** Bytes of a write before compression after which another is begun. */
  readonly requestBytes: number;
}

/** What the sink needs. */
export interface GreptimeDbDeps {
  readonly logger: Logger;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** The database. */
export interface GreptimeDbSink extends Sink {
  /** Procedures that have one of the database's 128 slots. */
  backlog(signal: AbortSignal): Promise<number>;
  stats(): ReturnType<HttpClient['stats']>;
}

/** Of versions as `versionOf` orders them: 1_002 is 1.2, 13 is 0.13. */
const OLDEST_VERSION = 13;

/** Opens the database. @throws {GatewayError} config_invalid when it can't be used as configured. */
export async function openGreptimeDb(
  options: GreptimeDbOptions,
  { logger, clock }: GreptimeDbDeps,
): Promise<GreptimeDbSink> {
  const http = createHttpClient({ ...options, ca: readAuthority(options) }, clock);
  const timeColumn = defaultColumn(options.columnPrefix, 'timestamp');
  const catalog = createCatalog(http, timeColumn);
  try {
    await check(options, http, (signal) => catalog.execute('SELECT 1', signal), logger);
  } catch (error) {
    http.close();
    throw error;
  }
  const writer = createWriter({ http, catalog, requestBytes: options.requestBytes });
  let running: Promise<void> = Promise.resolve();
  let closed: Promise<void> | undefined;
  return {
    names: createNameRules(timeColumn),
    values: createValueRules(catalog),
    ddl: createDdl(catalog, timeColumn),
    writer: {
      write(batches, signal) {
        const written = writer.write(batches, signal);
        running = written.catch(() => undefined);
        return written;
      },
    },
    backlog: (signal) => catalog.runningProcedures(signal),
    stats: () => http.stats(),
    close: () => (closed ??= running.then(() => http.close())),
  };
}

function readAuthority(options: GreptimeDbOptions): Buffer | undefined {
  if (options.caFile === '') return undefined;
  try {
    return readFileSync(options.caFile);
  } catch (error) {
    throw unusable(options, `greptimedb.caFile can't be read: ${wordsOf(error).message}`, error);
  }
}

async function check(
  options: GreptimeDbOptions,
  http: HttpClient,
  login: (signal: AbortSignal) => Promise<void>,
  logger: Logger,
): Promise<void> {
  const { url } = options;
  const { signal } = new AbortController();
  try {
    const version = versionOf(await http.send({ method: 'GET', path: '/status', repeatable: true }, signal));
    if (version === undefined) throw unusable(options, NOT_GREPTIMEDB);
    if (version.order < OLDEST_VERSION) {
      throw unusable(options, `it is version ${version.text}; 0.${OLDEST_VERSION} or later is needed`);
    }
    await login(signal);
    logger.info({ url, version: version.text }, 'database opened');
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    const mistake = mistakeOf(error, options);
    if (mistake !== undefined) throw unusable(options, mistake, error);
    const { code, message } = wordsOf(error);
    logger.error({ url, code, reason: message }, 'GreptimeDB does not answer; writes fail until it does');
  }
}

const NOT_GREPTIMEDB =
  'what answers there is not GreptimeDB: check greptimedb.url (its HTTP port, 4000 by default)';

function versionOf(status: string): { readonly text: string; readonly order: number } | undefined {
  const found = /"version"\s*:\s*"v?((\d+)\.(\d+)[^"]*)"/.exec(status);
  if (found === null) return undefined;
  return { text: found[1] ?? '', order: Number(found[2]) * 1_000 + Number(found[3]) };
}

/** What is wrong with the configuration, and what to do; undefined: nothing, the server is only not there. */
function mistakeOf(error: unknown, { url, user }: GreptimeDbOptions): string | undefined {
  const { message } = wordsOf(error);
  if (error instanceof ServerError) {
    if (error.status === 404) return NOT_GREPTIMEDB;
    if (error.status !== 401 && error.status !== 403) return undefined;
    return user === ''
      ? `it asks for a user (${message}): set greptimedb.user and greptimedb.password`
      : `it refuses user ${user} (${message}): check greptimedb.user and greptimedb.password`;
  }
  if (!(error instanceof LostError)) return undefined;
  if (message.includes('ENOTFOUND')) return `there is no such host: check greptimedb.url (${url})`;
  if (/certificate|self.signed|altnames/i.test(message)) {
    return `its certificate is not trusted (${message}): check greptimedb.caFile and the host in greptimedb.url`;
  }
  if (/wrong version number|packet length too long/i.test(message))
    return 'it does not speak TLS there: write http:// in greptimedb.url, or use its TLS port';
  return /Parse Error/i.test(message) ? NOT_GREPTIMEDB : undefined;
}

function unusable({ url }: GreptimeDbOptions, reason: string, cause?: unknown): GatewayError {
  return new GatewayError('config_invalid', `GreptimeDB at ${url} can't be used: ${reason}`, { cause });
}

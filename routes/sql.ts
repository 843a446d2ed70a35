/**
 * `/v1/sql` in the shape of GreptimeDB's HTTP API, so that its clients can read what arrived. The statement comes
 * as query parameter or form field `sql`, the schema to look in first as `db`. What may run is the reader's affair.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { GatewayError } from '../src/errors.ts';
import type { Auth } from '../src/http/auth.ts';
import type { BodyReader } from '../src/http/body-reader.ts';
import type { ErrorReplies } from '../src/http/error-handler.ts';
import { type Problem, withRetryAfter } from '../src/http/problem.ts';
import { firstParameter, type HttpReply, headerText, sendReply } from '../src/http/reply.ts';
import type { Clock } from '../src/model/clock.ts';
import type { Logger } from '../src/model/logger.ts';
import type { SqlAnswer, SqlReader } from '../src/model/sql.ts';
import { withTimeLimit } from '../src/util/abort.ts';
import type { LogSampler } from '../src/util/log-sampler.ts';

/** Limits of one query; see docs/configuration.md, `sql`. */
export interface SqlRouteOptions {
  /** Schema looked in first without `db`. */
  readonly database: string;
  readonly maxRows: number;
  readonly timeoutMs: number;
}

/** What the SQL route needs. */
export interface SqlRouteDeps {
  readonly reader: SqlReader;
  readonly auth: Auth;
  /** Waits until what was acknowledged can be read; undefined: it always can. */
  readonly drained: ((signal: AbortSignal) => Promise<void>) | undefined;
  readonly bodies: BodyReader;
  readonly errors: ErrorReplies;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  readonly logger: Logger;
  readonly sampler: LogSampler;
  /** Aborts when the gateway stops. */
  readonly closing: AbortSignal;
}

const MAX_SQL_CHARS = 1_048_576;
/** How long a query waits for what was acknowledged before it; then it sees less. */
const MAX_DRAIN_MS = 5_000;
const JSON_HEADERS = { 'Content-Type': 'application/json; charset=utf-8' };

/**
 * GreptimeDB's codes: InvalidArguments, DeadlineExceeded, RateLimited, RuntimeResourcesExhausted, UserPasswordMismatch,
 * AccessDenied; else Internal.
 */
const CODES: ReadonlyMap<string, number> = new Map([
  ['sql_invalid', 1004],
  ['body_malformed', 1004],
  ['body_too_large', 1004],
  ['encoding_unsupported', 1004],
  ['sql_timeout', 1008],
  ['overload', 6001],
  ['unavailable', 5000],
  ['closed', 5000],
  ['unauthenticated', 7002],
  ['forbidden', 7005],
]);
const INTERNAL = 1003;

/** A Fastify plugin; register it only when there is a reader. */
export function createSqlRoutes(
  options: SqlRouteOptions,
  deps: SqlRouteDeps,
): (app: FastifyInstance) => Promise<void> {
  async function run(form: URLSearchParams, query: Readonly<Record<string, unknown>>): Promise<SqlAnswer> {
    const sql = form.get('sql') ?? firstParameter(query['sql']) ?? '';
    if (sql === '') throw new GatewayError('sql_invalid', 'parameter sql is missing');
    if (sql.length > MAX_SQL_CHARS) throw new GatewayError('sql_invalid', 'statement is too long');
    const database = form.get('db') || firstParameter(query['db']) || options.database;
    const { maxRows, timeoutMs } = options;
    if (deps.drained !== undefined) await readable(deps.drained, Math.min(timeoutMs, MAX_DRAIN_MS));
    return deps.reader.query(sql, { database, maxRows, timeoutMs, signal: deps.closing });
  }

  /** One reads one's own writes, unless the database is too far behind. */
  async function readable(drained: (signal: AbortSignal) => Promise<void>, limitMs: number): Promise<void> {
    const late = (): Error => new GatewayError('unavailable', 'the database is behind');
    try {
      await withTimeLimit(deps.closing, { limitMs, clock: deps.clock, late }, drained);
    } catch {
      if (deps.closing.aborted) return;
      deps.sampler.sample('sql behind', (suppressed) =>
        deps.logger.warn(
          { limitMs, suppressed },
          'a query ran before all acknowledged rows were in the database',
        ),
      );
    }
  }

  async function answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const startMs = deps.clock.now();
    const elapsedMs = (): number => Math.round(deps.clock.now() - startMs);
    const query = request.query as Readonly<Record<string, unknown>>;
    try {
      // A statement may name tables of any database, whatever `db` says.
      await deps.auth.authorize(request.raw, 'read', undefined);
      const rows = await deps.bodies.use(request.raw, (body) =>
        run(new URLSearchParams(body.toString('utf8')), query),
      );
      return sendReply(reply, rowsReply(rows, elapsedMs()));
    } catch (error) {
      const shape = (problem: Problem): HttpReply => sqlProblem(problem, elapsedMs());
      return sendReply(reply, deps.errors.of(error, request.headers['user-agent'], shape));
    }
  }

  return async (app) => {
    app.get('/v1/sql', answer);
    app.post('/v1/sql', answer);
  };
}

function rowsReply(answer: SqlAnswer, elapsedMs: number): HttpReply {
  const schema = { column_schemas: answer.columns };
  const records = `{"schema":${JSON.stringify(schema)},"rows":${answer.rowsJson},"total_rows":${answer.rows}}`;
  return {
    status: 200,
    headers: JSON_HEADERS,
    body: `{"output":[{"records":${records}}],"execution_time_ms":${elapsedMs}}`,
  };
}

function sqlProblem(problem: Problem, elapsedMs: number): HttpReply {
  const code = CODES.get(problem.code) ?? INTERNAL;
  const headers = {
    ...JSON_HEADERS,
    'X-Greptime-Err-Code': String(code),
    'X-Greptime-Err-Msg': headerText(problem.message),
  };
  return {
    status: problem.status,
    headers: withRetryAfter(headers, problem.retryAfterS),
    body: JSON.stringify({ code, error: problem.message, execution_time_ms: elapsedMs }),
  };
}

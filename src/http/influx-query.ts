/**
 * InfluxDB's `/query`, as far as clients that only write need it: what they create is made by the first write, so it is
 * answered as done to whoever may create it; databases are listed; every other statement has an empty result. Points
 * are not read here, and a statement that asks for them is told so.
 */
import type { FastifyRequest } from 'fastify';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../model/access.ts';
import type { Auth } from './auth.ts';
import type { BodyReader } from './body-reader.ts';
import type { ErrorReplies } from './error-handler.ts';
import type { Query } from './influx-parameters.ts';
import { influxError, influxProblem } from './influx-reply.ts';
import { parseStatements, type Statement } from './influxql.ts';
import { firstParameter, type HttpReply } from './reply.ts';

/** What `/query` needs. */
export interface InfluxQueryDeps {
  readonly auth: Auth;
  readonly bodies: BodyReader;
  readonly errors: ErrorReplies;
  /** Names of the databases there are; undefined when that is not known now. */
  readonly databases: () => Promise<readonly string[] | undefined>;
}

const MAX_QUERY_BYTES = 65_536;
const NO_READING = 'points are not read here; the statement was not executed';

/** Makes the handler, which never rejects. */
export function createInfluxQuery(deps: InfluxQueryDeps): (request: FastifyRequest) => Promise<HttpReply> {
  const { auth, bodies, errors, databases } = deps;

  async function run(text: string, principal: Principal): Promise<HttpReply> {
    if (text === '') return influxError('v1', 400, 'missing required parameter "q"');
    const statements = parseStatements(text);
    if (typeof statements === 'string') return influxError('v1', 400, `error parsing query: ${statements}`);
    for (const statement of statements) mustBeAllowed(statement, principal);
    const asked = statements.some(({ kind }) => kind === 'databases');
    const names = asked ? await databases() : [];
    if (names === undefined) throw new GatewayError('unavailable', 'the databases are not known');
    const own = names.filter((name) => principal.may('write', name) || principal.may('read', name)).sort();
    const results = statements.map(({ kind }, id) => ({ statement_id: id, ...resultOf(kind, own) }));
    return {
      status: 200,
      headers: { 'Content-Type': 'application/json; charset=utf-8' },
      body: `${JSON.stringify({ results })}\n`,
    };
  }

  return async (request) => {
    const { raw } = request;
    try {
      const principal = await auth.authorize(raw, 'write', undefined);
      return await bodies.use(raw, (body) => run(queryText(body, request.query as Query), principal));
    } catch (error) {
      return errors.of(error, raw.headers['user-agent'], (problem) => influxProblem('v1', problem));
    }
  };
}

/** The form's `q`, else that of the URL. @throws {GatewayError} body_too_large */
function queryText(body: Buffer, query: Query): string {
  if (body.length > MAX_QUERY_BYTES) throw new GatewayError('body_too_large', 'the query is too long');
  return new URLSearchParams(body.toString('utf8')).get('q') || (firstParameter(query['q']) ?? '');
}

function mustBeAllowed(statement: Statement, principal: Principal): void {
  if (statement.kind !== 'create' || principal.may('create', statement.database)) return;
  const name = JSON.stringify(statement.database);
  throw new GatewayError('forbidden', `${principal.name} has no right to create in database ${name}`);
}

function resultOf(kind: Statement['kind'], databases: readonly string[]): object {
  if (kind === 'read') return { messages: [{ level: 'warning', text: NO_READING }] };
  if (kind !== 'databases') return {};
  const series = { name: 'databases', columns: ['name'] };
  return {
    series: [databases.length === 0 ? series : { ...series, values: databases.map((name) => [name]) }],
  };
}

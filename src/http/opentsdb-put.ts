/**
 * One put: its query parameters, then parse, submit, answer. `sync_timeout` bounds the wait for storage; when it
 * is over, what happened to the rows is what ingest knew by then.
 */
import type { FastifyRequest } from 'fastify';
import { type IngestResult, MAX_REFUSALS } from '../model/ingest.ts';
import type { OpenTsdbParser, ParsedPoints } from '../model/parse-result.ts';
import type { PointBatch } from '../model/point-batch.ts';
import { toUtf8 } from './charset.ts';
import { refusedLabel } from './extra-label.ts';
import type { Exchange, Intake, IntakeRoute } from './intake.ts';
import {
  envelope,
  malformedReply,
  openTsdbProblem,
  type PutFlags,
  type PutOutcome,
  putReply,
  type Query,
  unknownSerializer,
} from './opentsdb-reply.ts';
import { DeferredError } from './problem.ts';
import { type HttpReply, lastParameter } from './reply.ts';

/** What a put needs. */
export interface PutDeps {
  readonly intake: Intake;
  readonly parser: OpenTsdbParser;
}

interface PutParameters extends PutFlags {
  readonly sync: boolean;
}

const ROUTE: IntakeRoute = { route: 'opentsdb_put', source: 'opentsdb', shape: openTsdbProblem, toUtf8 };
const INTEGER = /^[+-]?\d{1,10}$/;
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Makes the handler of put requests; the points go to the database that `databaseOf` names, which never is empty. */
export function createPut(
  databaseOf: (request: FastifyRequest) => string,
  deps: PutDeps,
): (request: FastifyRequest) => Promise<HttpReply> {
  async function put(exchange: Exchange, parameters: PutParameters): Promise<HttpReply> {
    const parsed = deps.parser.parse(exchange.batch);
    if (parsed.kind === 'malformed') return malformedReply(parsed);
    const outcome =
      parameters.syncTimeoutMs > 0
        ? await submitInTime(exchange, parsed, parameters)
        : { result: await exchange.submit(parsed, parameters), timeouts: 0 };
    return putReply(parameters, { body: exchange.batch.body, parsed, ...outcome });
  }

  return async (request) => {
    const parameters = readParameters(request.query as Query);
    if ('status' in parameters) return deps.intake.refuse(ROUTE, parameters);
    const database = databaseOf(request);
    // NUL separates names in keys all over the gateway
    if (database.includes('\0')) return deps.intake.refuse(ROUTE, envelope(400, 'invalid database name'));
    return deps.intake.handle(ROUTE, request, database, (exchange) => put(exchange, parameters));
  };
}

/** Flags count by their presence: `details=false` asks for details. */
function readParameters(query: Query): PutParameters | HttpReply {
  const unknown = unknownSerializer(query);
  if (unknown !== undefined) return unknown;
  const label = refusedLabel(query);
  if (label !== undefined) return envelope(400, label);
  const timeout = lastParameter(query['sync_timeout']) ?? '0';
  if (!INTEGER.test(timeout))
    return envelope(400, `For input string: ${JSON.stringify(timeout.slice(0, 64))}`);
  return {
    summary: query['summary'] !== undefined,
    details: query['details'] !== undefined,
    sync: query['sync'] !== undefined,
    syncTimeoutMs: Math.min(Math.max(0, Number(timeout)), MAX_TIMER_MS),
  };
}

async function submitInTime(
  exchange: Exchange,
  parsed: ParsedPoints,
  parameters: PutParameters,
): Promise<Pick<PutOutcome, 'result' | 'timeouts'>> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), parameters.syncTimeoutMs);
  try {
    const { signal } = controller;
    return { result: await exchange.submit(parsed, { sync: parameters.sync, signal }), timeouts: 0 };
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    if (error instanceof DeferredError) return { result: error.result, timeouts: error.result.deferred };
    return { result: allTimedOut(exchange.batch), timeouts: parsed.good };
  } finally {
    clearTimeout(timer);
  }
}

function allTimedOut(batch: PointBatch): IngestResult {
  const rows = batch.offset.subarray(0, Math.min(batch.rows, MAX_REFUSALS));
  const refusals = Array.from(
    rows,
    (offset) => ({ offset, reason: 'ddl_failed', message: 'Write timedout' }) as const,
  );
  return { stored: 0, parked: 0, rejected: 0, refusals, deferred: 0, deferral: undefined };
}

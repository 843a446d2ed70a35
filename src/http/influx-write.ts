/**
 * One write of line protocol, whichever version of InfluxDB's endpoints it came by: its parameters, then parse, submit,
 * answer. A write is acknowledged when its points are safe, so v3's `no_sync` changes nothing.
 */
import { isUtf8 } from 'node:buffer';
import type { FastifyRequest } from 'fastify';
import { GatewayError } from '../errors.ts';
import type { Clock } from '../model/clock.ts';
import type { LineParser } from '../model/parse-result.ts';
import { type Query, readWriteParameters, type WriteParameters } from './influx-parameters.ts';
import { type InfluxVersion, influxProblem, writeReply } from './influx-reply.ts';
import type { Exchange, Intake, IntakeRoute } from './intake.ts';
import type { HttpReply } from './reply.ts';

/** What writes need. */
export interface InfluxWriteDeps {
  readonly intake: Intake;
  readonly parser: LineParser;
  readonly clock: Pick<Clock, 'wallNow'>;
}

/** Answers a write to `database`, which is empty when the request names none. Never rejects. */
export type InfluxWrite = (
  version: InfluxVersion,
  request: FastifyRequest,
  database: string,
) => Promise<HttpReply> | HttpReply;

/** How the intake sees the endpoints of each version. */
export const INFLUX_ROUTES: Readonly<Record<InfluxVersion, IntakeRoute>> = {
  v1: intakeRoute('influx_write', 'v1'),
  v2: intakeRoute('influx_v2_write', 'v2'),
  v3: intakeRoute('influx_v3_write', 'v3'),
};

/** Makes the handler of writes. `strictBatches`: on v2, one malformed line refuses the whole request. */
export function createInfluxWrite(
  options: { readonly strictBatches: boolean },
  { intake, parser, clock }: InfluxWriteDeps,
): InfluxWrite {
  async function write(
    version: InfluxVersion,
    exchange: Exchange,
    { precision, acceptPartial }: WriteParameters,
  ): Promise<HttpReply> {
    const { batch } = exchange;
    const v3 = version === 'v3';
    if (v3 && !isUtf8(batch.body)) {
      throw new GatewayError('body_malformed', 'body content is not valid utf8');
    }
    const parsed = parser.parse(batch, precision, clock.wallNow(), v3 ? 'refuse' : 'last');
    const strict = version === 'v2' && options.strictBatches;
    const allOrNothing = acceptPartial ? (strict ? 'malformed' : undefined) : 'any';
    const result = await exchange.submit(parsed, { allOrNothing });
    return writeReply(version, { body: batch.body, parsed, result, acceptPartial });
  }

  return (version, request, database) => {
    const route = INFLUX_ROUTES[version];
    const parameters = readWriteParameters(version, request.query as Query, database);
    if ('status' in parameters) return intake.refuse(route, parameters);
    return intake.handle(route, request, parameters.database, (exchange) =>
      write(version, exchange, parameters),
    );
  };
}

function intakeRoute(route: IntakeRoute['route'], version: InfluxVersion): IntakeRoute {
  return { route, source: 'influx', shape: (problem) => influxProblem(version, problem), toUtf8: undefined };
}

/**
 * What happens to a request that failed: the error becomes a problem, faults of ours are logged (sampled, with
 * the error itself), and the problem gets the shape of the protocol. Used for the write routes by `intake` and
 * for everything else as Fastify's error handler. Never logs URLs, for they may hold credentials.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../model/logger.ts';
import type { Random } from '../util/backoff.ts';
import type { LogSampler } from '../util/log-sampler.ts';
import { type Problem, toProblem } from './problem.ts';
import { type HttpReply, sendReply } from './reply.ts';

/** Gives a problem the shape of a protocol. */
export type ProblemShape = (problem: Problem) => HttpReply;

/** Turns errors into answers. */
export interface ErrorReplies {
  /** The answer to a request that failed with `error`. */
  of(error: unknown, agent: string | undefined, shape: ProblemShape): HttpReply;
  /** A Fastify error handler that answers in `shape`. */
  handler(
    shape: ProblemShape,
  ): (error: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply;
}

/** What errors need besides themselves. */
export interface ErrorReplyDeps {
  readonly logger: Logger;
  readonly sampler: LogSampler;
  readonly random: Random;
  /** Parts of the User-Agent of clients that misread Retry-After, in any case. */
  readonly noRetryAfterAgents: readonly string[];
}

/** RFC 9110 wants one with every 401; a protocol's shape may hold its own. */
const CHALLENGE = { 'WWW-Authenticate': 'Basic realm="sluice"' };

/** Makes the error replies that all routes share. */
export function createErrorReplies(deps: ErrorReplyDeps): ErrorReplies {
  const misreaders = deps.noRetryAfterAgents.map((agent) => agent.toLowerCase());

  function tells(agent = ''): boolean {
    const lower = agent.toLowerCase();
    return !misreaders.some((part) => lower.includes(part));
  }

  function of(error: unknown, agent: string | undefined, shape: ProblemShape): HttpReply {
    const problem = toProblem(error, tells(agent), deps.random);
    if (problem.status >= 500) {
      deps.sampler.sample(`http_${problem.code}`, (suppressed) => {
        const level = problem.code === 'internal' ? 'error' : 'warn';
        deps.logger[level]({ err: error, code: problem.code, suppressed }, 'request failed');
      });
    }
    const reply = shape(problem);
    return problem.status === 401 ? { ...reply, headers: { ...CHALLENGE, ...reply.headers } } : reply;
  }
  return {
    of,
    handler: (shape) => (error, request, reply) =>
      sendReply(reply, of(error, request.headers['user-agent'], shape)),
  };
}

/** The shape for paths that belong to no protocol. */
export const plainProblem: ProblemShape = (problem) => ({
  status: problem.status,
  headers: { 'Content-Type': 'application/json; charset=utf-8' },
  body: `${JSON.stringify({ error: problem.message })}\n`,
});

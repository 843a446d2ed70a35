/**
 * An answer as a value: what the pure mapping functions return and the routes send. Only `sendReply` touches a socket.
 */
import type { FastifyReply } from 'fastify';
import { dropRest } from './drain.ts';

/** Status, headers and body of an answer. */
export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Undefined: no body. */
  readonly body: string | undefined;
}

/** The answer of InfluxDB's endpoints to what was taken as a whole. */
export const NO_CONTENT: HttpReply = { status: 204, headers: { 'Content-Length': '0' }, body: undefined };

/** Sends an answer; the caller returns the result to Fastify. */
export function sendReply(reply: FastifyReply, answer: HttpReply): FastifyReply {
  if (!reply.request.raw.complete) dropRest(reply.request.raw);
  return reply.code(answer.status).headers(answer.headers).send(answer.body);
}

/** Keeps what may stand in a header: printable ASCII, at most `maxBytes`. */
export function headerText(text: string, maxBytes = 1_024): string {
  return text.slice(0, maxBytes).replace(/[^ -~]/g, ' ');
}

/** The last of a repeated query parameter, or undefined. */
export function lastParameter(value: unknown): string | undefined {
  const last: unknown = Array.isArray(value) ? value.at(-1) : value;
  return typeof last === 'string' ? last : undefined;
}

/** The first of a repeated query parameter, or undefined. */
export function firstParameter(value: unknown): string | undefined {
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return typeof first === 'string' ? first : undefined;
}

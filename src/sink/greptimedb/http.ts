/**
 * Requests to one GreptimeDB over a pool of kept connections: bounded in time and in the size of the answer, ended by
 * their signal. One that may be repeated is sent once more when it met a connection that the server had just closed.
 * No header of a client is ever among those that are sent.
 */
import { Agent, type IncomingMessage, request as plainRequest, type RequestOptions } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import type { Clock } from '../../model/clock.ts';
import { withTimeLimit } from '../../util/abort.ts';
import { LostError, ServerError } from './errors.ts';

/** How to reach the server. */
export interface HttpOptions {
  /** `http://host:port` or `https://host:port`. */
  readonly url: string;
  /** Empty: no authentication. */
  readonly user: string;
  readonly password: string;
  /** PEM text of the authority of the server's certificate; undefined: those that Node.js knows. */
  readonly ca: Buffer | undefined;
  /** Connections at a time, 1 or more; further requests wait for one. */
  readonly poolSize: number;
  /** Longest time of a request, its wait for a connection included. */
  readonly requestTimeoutMs: number;
}

/** One request. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  /** With the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** To do it twice is to do it once. */
  readonly repeatable: boolean;
}

/** See the module comment. */
export interface HttpClient {
  /**
   * The text of a successful answer.
   * @throws {ServerError} for another answer; {LostError} when there is none, or not within the time.
   */
  send(request: HttpRequest, signal: AbortSignal): Promise<string>;
  /** Requests that run, and that wait for a connection. */
  stats(): { readonly connections: number; readonly waiting: number };
  /** Ends all connections. Idempotent. */
  close(): void;
}

/** A description of 256 tables of 1,000 columns has about as much. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

interface Progress {
  sent: boolean;
  reused: boolean;
}

/** Makes a client; it connects with the first request. */
export function createHttpClient(options: HttpOptions, clock: Pick<Clock, 'sleep'>): HttpClient {
  const base = new URL(options.url);
  const secure = base.protocol === 'https:';
  const pool = { keepAlive: true, maxSockets: options.poolSize };
  const agent = secure ? new TlsAgent({ ...pool, ...(options.ca && { ca: options.ca }) }) : new Agent(pool);
  const target: RequestOptions = {
    agent,
    host: base.hostname.replace(/^\[|\]$/g, ''),
    port: base.port === '' ? (secure ? 443 : 80) : base.port,
    ...(options.user !== '' && { auth: `${options.user}:${options.password}` }),
  };

  function once(asked: HttpRequest, signal: AbortSignal, progress: Progress): Promise<string> {
    const { method, path, headers = {}, body } = asked;
    return new Promise((resolve, reject) => {
      const sending = (secure ? tlsRequest : plainRequest)({
        ...target,
        method,
        path,
        signal,
        headers: { ...headers, ...(body && { 'content-length': body.length }) },
      });
      sending.once('socket', (socket) => {
        progress.reused = sending.reusedSocket;
        if (!socket.connecting) progress.sent = true;
        else socket.once(secure ? 'secureConnect' : 'connect', () => (progress.sent = true));
      });
      sending.on('error', reject);
      sending.once('response', (response) => void readAnswer(response).then(resolve, reject));
      sending.end(body);
    });
  }

  async function bounded(asked: HttpRequest, signal: AbortSignal): Promise<string> {
    for (let tries = 1; ; tries++) {
      const progress: Progress = { sent: false, reused: false };
      try {
        return await once(asked, signal, progress);
      } catch (error) {
        if (error instanceof ServerError) throw error;
        if (progress.reused && asked.repeatable && tries === 1 && !signal.aborted) continue;
        const reason = signal.aborted ? signal.reason : error;
        // Ended by its signal it may have been on its way.
        throw new LostError(messageOf(reason), progress.sent || signal.aborted, { cause: error });
      }
    }
  }

  return {
    send(asked, signal) {
      const limitMs = options.requestTimeoutMs;
      const late = (): Error => new Error(`no answer within ${limitMs} ms`);
      return withTimeLimit(signal, { limitMs, clock, late }, (limited) => bounded(asked, limited));
    },
    stats: () => ({
      connections: count(agent.sockets) + count(agent.freeSockets),
      waiting: count(agent.requests),
    }),
    close: () => agent.destroy(),
  };
}

async function readAnswer(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  const { statusCode: status = 0, headers } = response;
  if (status < 200 || status >= 300) throw failed(status, headers['x-greptime-err-code'], text);
  return text;
}

/** The code is in a header and in the body; the words are in the body, or are all of it. */
function failed(status: number, header: string | string[] | undefined, text: string): ServerError {
  let said: { code?: unknown; error?: unknown } = {};
  try {
    said = Object(JSON.parse(text)) as typeof said;
  } catch {
    // Something in between has answered.
  }
  const code = Number(header ?? said.code ?? Number.NaN);
  const message = typeof said.error === 'string' ? said.error : text.slice(0, 512);
  return new ServerError(
    status,
    Number.isInteger(code) ? code : undefined,
    message || `HTTP status ${status}`,
  );
}

function count(lists: NodeJS.ReadOnlyDict<readonly unknown[]>): number {
  return Object.values(lists).reduce((sum, list) => sum + (list?.length ?? 0), 0);
}

function messageOf(error: unknown): string {
  // Connecting to several addresses fails with an AggregateError, whose own message is empty.
  if (error instanceof AggregateError) return error.errors.map(String).join('; ');
  return error instanceof Error ? error.message : String(error);
}

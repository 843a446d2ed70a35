/**
 * Reads request bodies from the socket, decoded and within limits, whatever their content type, and accounts for
 * their bytes until the request is answered. A body that the client did not finish is an error, never data.
 * Fastify's own body parsing is not used: it judges content types (415) and costs 3 us per request.
 */
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';
import { decodeBody, tooLarge } from './body.ts';
import { type BodyLease, createBodyBudget } from './body-budget.ts';
import { BodyPieces } from './body-pieces.ts';
import type { HttpMetrics } from './http-metrics.ts';

/** Bounds of `createBodyReader`. */
export interface BodyReaderOptions {
  /** Of one body, as received. */
  readonly maxBodyBytes: number;
  /** Of one body, after inflating. */
  readonly maxInflatedBytes: number;
  /** Of all bodies held at once. */
  readonly maxTotalBytes: number;
}

/** Lends bodies. */
export interface BodyReader {
  /**
   * Reads the body, lets `work` use it, and forgets it when `work` has settled. Reading starts at once.
   * @throws {GatewayError} body_too_large, body_malformed, encoding_unsupported, overload; and what `work` throws
   */
  use<T>(request: IncomingMessage, work: (body: Buffer) => Promise<T>): Promise<T>;
  stats(): { readonly bodyBytes: number };
}

/** Makes the reader that all routes share. */
export function createBodyReader(
  options: BodyReaderOptions,
  metrics: Pick<HttpMetrics, 'bodyRefused'>,
): BodyReader {
  const budget = createBodyBudget(options.maxTotalBytes);

  async function read(request: IncomingMessage, lease: BodyLease): Promise<Buffer> {
    try {
      const received = await receive(request, options.maxBodyBytes, lease);
      return await decodeBody(received, request.headers['content-encoding'], {
        maxBytes: options.maxInflatedBytes,
        onBytes: (bytes) => lease.add(bytes),
      });
    } catch (error) {
      metrics.bodyRefused(refusalOf(error));
      throw error;
    }
  }

  return {
    async use(request, work) {
      const lease = budget.lease();
      try {
        return await work(await read(request, lease));
      } finally {
        lease.release();
      }
    },
    stats: () => ({ bodyBytes: budget.usedBytes }),
  };
}

/** After a refusal what has come is forgotten, and the rest is read and dropped (drain.ts bounds it). */
function receive(request: IncomingMessage, maxBytes: number, lease: BodyLease): Promise<Buffer> {
  const declared = request.headers['content-length'];
  const pieces = new BodyPieces(declared === undefined ? maxBytes : Number(declared), lease);
  return new Promise((resolve, reject) => {
    const stop = (error: unknown): void => {
      request.off('data', take);
      pieces.drop();
      request.resume();
      reject(error);
    };
    const take = (piece: Buffer): void => {
      try {
        if (pieces.add(piece) > maxBytes) stop(tooLarge(maxBytes));
      } catch (error) {
        stop(error);
      }
    };
    request.on('error', () => stop(new GatewayError('body_malformed', 'request aborted')));
    if (Number(declared) > maxBytes) return stop(tooLarge(maxBytes));
    request.on('end', () => resolve(pieces.join()));
    request.on('data', take);
  });
}

function refusalOf(error: unknown): 'too_large' | 'overload' | 'malformed' | 'encoding' {
  const code = error instanceof GatewayError ? error.code : undefined;
  if (code === 'body_too_large') return 'too_large';
  if (code === 'overload') return 'overload';
  return code === 'encoding_unsupported' ? 'encoding' : 'malformed';
}

/**
 * Undoes a body's Content-Encoding: gzip (several members too), deflate (zlib, or raw as some clients send it),
 * identity. Output is counted as it appears, so a bomb is stopped at the cap and not after it. A truncated or
 * corrupt body is the sender's fault (400), never a failure of ours (500): that would be retried for ever.
 */
import {
  createGunzip,
  createInflate,
  createInflateRaw,
  type Gunzip,
  gunzipSync,
  inflateRawSync,
  inflateSync,
  type ZlibOptions,
} from 'node:zlib';
import { GatewayError } from '../errors.ts';

/** Limits for `decodeBody`. */
export interface DecodeLimits {
  /** Bytes after inflating. */
  readonly maxBytes: number;
  /** Called for each piece of output; may throw to stop. */
  readonly onBytes: (bytes: number) => void;
}

const CHUNK_BYTES = 64 * 1_024;
/**
 * A body of at most this length is inflated at once, as long as at most so much comes out of it: that takes 20 us where
 * a stream takes 50, and half a millisecond when it was tried in vain.
 */
const MAX_AT_ONCE_BYTES = 64 * 1_024;
const MAX_AT_ONCE_OUTPUT_BYTES = 2 ** 20;

/** The two ways to undo one encoding. */
interface Codec {
  readonly stream: (options: ZlibOptions) => Gunzip;
  readonly atOnce: (body: Buffer, options: ZlibOptions) => Buffer;
}

const GZIP: Codec = { stream: createGunzip, atOnce: gunzipSync };
const ZLIB: Codec = { stream: createInflate, atOnce: inflateSync };
const RAW: Codec = { stream: createInflateRaw, atOnce: inflateRawSync };

/**
 * The body as it was before it was encoded: at once when it was not, else a promise. An empty body is empty
 * whatever its encoding says.
 * @throws {GatewayError} encoding_unsupported, body_malformed, body_too_large
 */
export function decodeBody(
  body: Buffer,
  encoding: string | undefined,
  limits: DecodeLimits,
): Buffer | Promise<Buffer> {
  if (encoding === undefined || body.length === 0) return body;
  switch (encoding.trim().toLowerCase()) {
    case '':
    case 'identity':
    case 'none':
      return body;
    case 'gzip':
    case 'x-gzip':
      if (body[0] !== 0x1f || body[1] !== 0x8b)
        throw new GatewayError('body_malformed', 'gzip: invalid header');
      return inflate(GZIP, body, limits);
    case 'deflate':
    case 'x-deflate':
      return inflate(hasZlibHeader(body) ? ZLIB : RAW, body, limits);
    default:
      throw new GatewayError('encoding_unsupported', 'unsupported content encoding');
  }
}

/** RFC 1950: method 8, and the first two bytes are a multiple of 31. */
function hasZlibHeader(body: Buffer): boolean {
  const first = body[0] as number;
  return (first & 0x0f) === 8 && ((first << 8) | (body[1] ?? 0)) % 31 === 0;
}

function inflate(codec: Codec, body: Buffer, limits: DecodeLimits): Buffer | Promise<Buffer> {
  const whole = body.length > MAX_AT_ONCE_BYTES ? undefined : inflateAtOnce(codec, body, limits.maxBytes);
  if (whole === undefined) return inflateStream(codec, body, limits);
  limits.onBytes(whole.length);
  return whole;
}

/** Undefined when more comes out than is good to do at once, or than is allowed. */
function inflateAtOnce(codec: Codec, body: Buffer, maxBytes: number): Buffer | undefined {
  try {
    return codec.atOnce(body, { maxOutputLength: Math.min(maxBytes, MAX_AT_ONCE_OUTPUT_BYTES) });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw malformed(error);
  }
}

function inflateStream(codec: Codec, body: Buffer, limits: DecodeLimits): Promise<Buffer> {
  const engine = codec.stream({ chunkSize: CHUNK_BYTES });
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const fail = (error: unknown): void => {
      engine.destroy();
      reject(error instanceof GatewayError ? error : malformed(error));
    };
    engine.on('error', fail);
    engine.on('data', (chunk: Buffer) => {
      size += chunk.length;
      try {
        if (size > limits.maxBytes) throw tooLarge(limits.maxBytes);
        limits.onBytes(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        fail(error);
      }
    });
    engine.on('end', () =>
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)),
    );
    engine.end(body);
  });
}

/** A body of more than `maxBytes`, in the words of InfluxDB 3; other protocols have words of their own. */
export function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError('body_too_large', `max request size (${maxBytes} bytes) exceeded`);
}

function malformed(cause: unknown): GatewayError {
  const truncated = cause instanceof Error && 'code' in cause && cause.code === 'Z_BUF_ERROR';
  return new GatewayError('body_malformed', truncated ? 'unexpected EOF' : 'corrupt compressed body', {
    cause,
  });
}

/**
 * OpenTSDB's `/api/suggest`: names that begin with what was typed. `type`, `q` and `max` come as query parameters or,
 * with POST, as a JSON object of strings or numbers.
 */
import type { FastifyRequest } from 'fastify';
import { GatewayError } from '../errors.ts';
import type { NameIndex, NameKind } from '../model/names.ts';
import type { BodyReader } from './body-reader.ts';
import { envelope, jsonReply } from './opentsdb-reply.ts';
import { type HttpReply, lastParameter } from './reply.ts';

/** What suggesting needs. */
export interface SuggestDeps {
  readonly names: NameIndex;
  readonly bodies: BodyReader;
}

type Wanted = (name: 'type' | 'q' | 'max') => string | undefined;

const KINDS: readonly NameKind[] = ['metrics', 'tagk', 'tagv'];
const MAX_BODY_BYTES = 4_096;
const DEFAULT_MAX = 25;
/** Whatever the client asks for, so that an answer stays small. */
const MOST = 1_000;

/** Makes the handler; names are those of one database. */
export function createSuggest(
  database: string,
  { names, bodies }: SuggestDeps,
): (request: FastifyRequest) => Promise<HttpReply> {
  function suggest(wanted: Wanted): HttpReply {
    const type = wanted('type') ?? '';
    if (type === '') return envelope(400, 'Missing parameter <code>type</code>');
    const max = wanted('max') ?? '0';
    if (!/^[+-]?\d{1,10}$/.test(max)) return envelope(400, "Unable to parse 'max' as a number");
    const kind = KINDS.find((known) => known === type);
    if (kind === undefined) return envelope(400, `Invalid 'type' parameter:${type.slice(0, 64)}`);
    const most = Number(max) > 0 ? Math.min(Number(max), MOST) : DEFAULT_MAX;
    return jsonReply(names.suggest(kind, { database, prefix: wanted('q') ?? '', max: most }));
  }

  return async (request) => {
    const query = request.query as Readonly<Record<string, unknown>>;
    if (request.method !== 'POST') return suggest((name) => lastParameter(query[name]));
    return bodies.use(request.raw, async (body) => {
      const members = readObject(body);
      return suggest((name) => members.get(name));
    });
  };
}

/** The members that are strings or numbers. @throws {GatewayError} body_malformed */
function readObject(body: Buffer): ReadonlyMap<string, string> {
  if (body.length === 0) throw new GatewayError('body_malformed', 'Missing request content');
  let value: unknown;
  try {
    if (body.length <= MAX_BODY_BYTES) value = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new GatewayError('body_malformed', 'Unable to parse the given JSON', { cause });
  }
  if (typeof value !== 'object' || value === null)
    throw new GatewayError('body_malformed', 'Unable to parse the given JSON');
  const members = Object.entries(value as Readonly<Record<string, unknown>>);
  return new Map(
    members
      .filter(([, member]) => typeof member === 'string' || typeof member === 'number')
      .map(([name, member]) => [name, String(member)]),
  );
}

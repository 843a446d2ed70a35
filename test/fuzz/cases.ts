/**
 * What the fuzzer sends: a case is the bytes of one connection, made from a valid exchange by damaging its body, its
 * framing, or the stream as a whole. Everything follows from the random source, so a seed repeats its cases.
 */
import { deflateSync, gzipSync } from 'node:zlib';
import type { Random } from '../../src/util/backoff.ts';
import { pickOne } from '../helpers/seeded-random.ts';
import { mutate } from './mutate.ts';

/** The bytes of one connection, and where its writes are cut. */
export interface FuzzCase {
  readonly bytes: Buffer;
  /** Ascending places at which a new write begins. */
  readonly cuts: readonly number[];
}

/** A valid exchange to begin with. */
export interface Seed {
  /** Method and target; undefined: the body is the whole stream (telnet). */
  readonly request: string | undefined;
  readonly body: Buffer;
}

/** Valid exchanges of every protocol and transport. Their metrics begin with `fuzz`, so that they can be told apart. */
export const SEEDS: readonly Seed[] = [
  seed('POST /api/put', '{"metric":"fuzz.a","timestamp":1700000000,"value":42.5,"tags":{"host":"a"}}'),
  seed(
    'POST /api/put?details',
    '[{"metric":"fuzz.a","timestamp":1700000000123,"value":"9007199254740993","tags":{"host":"é\\u00e9"}},\n' +
      '{"metric":"fuzz.b","timestamp":1.7e9,"value":-0.5e-3,"tags":{"h":"1","n":2,"t":true},"x":{"y":[1,null]}}]',
  ),
  seed(
    'POST /api/v1/put?summary&sync&sync_timeout=500',
    '[{"metric":"fuzz.c","timestamp":1,"value":1,"tags":{"a":"b"}}]',
  ),
  seed(
    'POST /write?db=fuzz',
    'fuzz,host=a,dc=x f=1,i=2i,u=3u,b=t,s="x \\" y" 1700000000000000000\nfuzz f=1\n',
  ),
  seed(
    'POST /write?db=fuzz&precision=s',
    '# comment "\nfuzz\\ sp\\,ace,t\\=k=v\\ w f=1e5 1700000000\r\nfuzz s="a\nb" 1\n',
  ),
  seed(
    'POST /api/v2/write?org=o&bucket=fuzz&precision=ms',
    'fuzz,host=b f=-1.5,i=-9223372036854775808i 1700000000000\n',
  ),
  seed('POST /api/v3/write_lp?db=fuzz&precision=auto', 'fuzz,host=c f=2 1700000000\nfuzz,host=d f=3\n'),
  seed('POST /api/v3/write_lp?db=fuzz&accept_partial=false', 'fuzz,host=c f=2 1700000000\nbroken\n'),
  seed('POST /v1/influxdb/write?db=fuzz', 'fuzz,host=e f=4 1700000000000000000\n'),
  seed('POST /opentsdb/api/put', '{"metric":"fuzz.d","timestamp":1700000000,"value":1,"tags":{}}'),
  seed('POST /query', 'q=CREATE+DATABASE+%22fuzz%22;SHOW DATABASES'),
  seed('POST /v1/sql?db=public', 'sql=SELECT+1+AS+one'),
  seed('GET /v1/sql?sql=SELECT%20*%20FROM%20information_schema.tables', ''),
  seed('POST /api/suggest', '{"type":"metrics","q":"fuzz","max":5}'),
  seed('GET /api/version', ''),
  seed('GET /ping?verbose=true', ''),
  seed('GET /health', ''),
  seed('POST /admin/plan?protocol=influx&db=fuzz', 'fuzz_plan,host=a f=1\n'),
  seed(
    undefined,
    'put fuzz.t 1700000000 42.5 host=a dc=x\nput fuzz.t 1700000000.123 1e3 host=b\r\nversion\nhelp\nstats\n',
  ),
  seed(
    undefined,
    'put fuzz.t 1 nan host=a\nput  fuzz.t 1700000000 1 host=\n\nput fuzz.u 1700000001 -5 a=b c=d',
  ),
];

/** Makes cases out of a corpus that the caller lets grow. */
export function makeCase(
  random: Random,
  corpus: readonly Seed[],
): { readonly seed: Seed; readonly made: FuzzCase } {
  const from = pickOne(random, corpus) as Seed;
  const other = pickOne(random, corpus) as Seed;
  const body = random() < 0.75 ? mutate(random, from.body, other.body) : from.body;
  const seed = { ...from, body };
  let bytes = seed.request === undefined ? body : framed(random, seed.request, body);
  if (random() < 0.15) bytes = mutate(random, bytes, other.body);
  if (random() < 0.2) bytes = Buffer.concat([bytes, follower(random, other)]);
  return { seed, made: { bytes, cuts: cutsOf(random, bytes.length) } };
}

/** What is sent behind the first exchange on the same connection. */
function follower(random: Random, { request, body }: Seed): Buffer {
  return request === undefined ? body : framed(random, request, body);
}

function framed(random: Random, request: string, body: Buffer): Buffer {
  const [encoding, payload] = encoded(random, body);
  const head = [
    `${request} HTTP/1.1`,
    'Host: fuzz',
    `User-Agent: ${random() < 0.1 ? 'influxdb-client-js/1' : 'fuzz'}`,
  ];
  if (encoding !== undefined) head.push(`Content-Encoding: ${encoding}`);
  if (random() < 0.1) head.push(`Authorization: ${random() < 0.5 ? 'Basic Zm9vOmJhcg==' : 'Token x:y'}`);
  if (random() < 0.3) {
    return Buffer.concat([
      Buffer.from(`${[...head, 'Transfer-Encoding: chunked'].join('\r\n')}\r\n\r\n`),
      chunked(random, payload),
    ]);
  }
  const length = random() < 0.05 ? Math.floor(random() * 2 * payload.length) : payload.length;
  return Buffer.concat([
    Buffer.from(`${[...head, `Content-Length: ${length}`].join('\r\n')}\r\n\r\n`),
    payload,
  ]);
}

function encoded(random: Random, body: Buffer): readonly [encoding: string | undefined, payload: Buffer] {
  const dice = random();
  if (dice < 0.75) return [dice < 0.02 ? 'snappy' : undefined, body];
  const packed = dice < 0.9 ? gzipSync(body) : deflateSync(body);
  const named = dice < 0.9 ? 'gzip' : 'deflate';
  if (dice < 0.88) return [named, packed];
  return [named, mutate(random, packed, body)];
}

function chunked(random: Random, payload: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < payload.length; ) {
    const size = 1 + Math.floor(random() * payload.length);
    const piece = payload.subarray(at, at + size);
    parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
    at += size;
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

function cutsOf(random: Random, length: number): readonly number[] {
  if (random() < 0.6) return [];
  const count = 1 + Math.floor(random() * 3);
  const cuts = Array.from({ length: count }, () => Math.floor(random() * length));
  return [...new Set(cuts)].filter((cut) => cut > 0).sort((a, b) => a - b);
}

function seed(request: string | undefined, body: string): Seed {
  return { request, body: Buffer.from(body) };
}

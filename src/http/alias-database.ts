/** Which database a write to one of GreptimeDB's or VictoriaMetrics' paths goes to. */
import type { FastifyRequest } from 'fastify';
import { firstParameter } from './reply.ts';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The first that is not empty of: header `x-greptime-db-name`, parameter `db`, the `further` parameters, `fallback`.
 * Parameters are percent-decoded; `-` is a letter like any other, though GreptimeDB would split a catalog off there.
 */
export function aliasDatabase(request: FastifyRequest, further: readonly string[], fallback: string): string {
  const header = request.headers['x-greptime-db-name'];
  if (typeof header === 'string' && header !== '') return headerName(header);
  const query = request.query as Readonly<Record<string, unknown>>;
  return ['db', ...further].map((name) => firstParameter(query[name]) ?? '').find(Boolean) ?? fallback;
}

/** Node reads headers as Latin-1; what is no UTF-8 was meant so. */
function headerName(header: string): string {
  try {
    return UTF8.decode(Buffer.from(header, 'latin1'));
  } catch {
    return header;
  }
}

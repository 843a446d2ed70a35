/** Bodies in another charset than UTF-8. Used by the OpenTSDB routes; InfluxDB's ignore the content type. */
import { GatewayError } from '../errors.ts';

const CHARSET = /charset\s*=\s*"?([^\s";,]+)/i;

/**
 * The body as UTF-8, by the `charset` of its content type; the very same bytes when there is none or it is UTF-8.
 * @throws {GatewayError} body_malformed when the charset is unknown or the bytes are not of it
 */
export function toUtf8(body: Buffer, contentType: string | undefined): Buffer {
  const charset = contentType === undefined ? undefined : CHARSET.exec(contentType)?.[1]?.toLowerCase();
  if (charset === undefined || charset === 'utf-8' || charset === 'utf8' || charset === 'us-ascii')
    return body;
  try {
    return Buffer.from(new TextDecoder(charset, { fatal: true }).decode(body));
  } catch (cause) {
    throw new GatewayError('body_malformed', 'Unsupported charset', { cause });
  }
}

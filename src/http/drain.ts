/**
 * The rest of a body that was answered before it had come: it is read and dropped, so that the client gets to see
 * the answer and may go on with the connection, but only up to a bound. Called by `sendReply` for every answer.
 */
import type { IncomingMessage } from 'node:http';

/** A client that sends more than this after its answer is cut off. */
const MAX_UNWANTED_BYTES = 32 * 2 ** 20;

/** Reads and drops what is still to come of `request`, whose answer is being sent. */
export function dropRest(request: IncomingMessage): void {
  const { headers } = request;
  if ((headers['transfer-encoding'] ?? headers['content-length']) === undefined) return;
  let bytes = 0;
  request.on('data', (piece: Buffer) => {
    bytes += piece.length;
    if (bytes > MAX_UNWANTED_BYTES) request.destroy();
  });
}

/**
 * Bounds the open connections of one address, so that one machine does not take the places of all. Counts raw
 * connections, before TLS. Used by server.ts; what is refused is closed at once.
 */
import type { Socket } from 'node:net';

/** Counts connections. */
export interface ConnectionLimit {
  /** False: the address has its share already. Else the connection counts until it closes. */
  admit(socket: Socket): boolean;
  stats(): { readonly open: number; readonly addresses: number };
}

/** Makes the limit; 0: none. */
export function createConnectionLimit(maxPerAddress: number): ConnectionLimit {
  const openOf = new Map<string, number>();
  let open = 0;
  return {
    admit(socket) {
      const address = socket.remoteAddress ?? 'unknown';
      const mine = openOf.get(address) ?? 0;
      if (maxPerAddress > 0 && mine >= maxPerAddress) return false;
      openOf.set(address, mine + 1);
      open++;
      socket.once('close', () => {
        open--;
        const left = (openOf.get(address) as number) - 1;
        if (left === 0) openOf.delete(address);
        else openOf.set(address, left);
      });
      return true;
    },
    stats: () => ({ open, addresses: openOf.size }),
  };
}

/**
 * Writers beside a fault: to one table that is there and to new ones, over every gateway that lives. They note what
 * they were told, and every new table they asked for.
 */
import assert from 'node:assert/strict';
import { type Cluster, type ClusterGateway, write } from './cluster.ts';
import { eventually } from './wait.ts';

const KNOWN = 'known';
/** Between two writes of a writer. */
const PAUSE_MS = 30;

/** Writers that run. */
export interface Traffic {
  /** Statuses of the writes to the known table, by gateways that lived and were not paused. */
  readonly known: Map<number, number>;
  /** The same of new tables. */
  readonly fresh: Map<number, number>;
  /** Gateways that are not to be written to, for they don't answer. */
  readonly skip: Set<ClusterGateway>;
  /** Resolves after so many further writes of the kind were answered with the status. */
  answered(kind: 'known' | 'fresh', status: number, count?: number): Promise<void>;
  /**
   * Ends the writers and checks that every write to the known table was stored, and that every new table that was
   * asked for gets made, the last within 30 s.
   */
  finish(): Promise<void>;
}

/** Starts a writer of each kind per gateway, after the known table was made and is known to all. */
export async function startTraffic(cluster: Cluster): Promise<Traffic> {
  const known = new Map<number, number>();
  const fresh = new Map<number, number>();
  const skip = new Set<ClusterGateway>();
  const asked = new Set<string>();
  const stopping = new AbortController();
  for (const gateway of cluster.alive) {
    await eventually(`${gateway.id} knows the table`, async () => (await write(gateway, KNOWN)) === 204);
  }
  const loop = async (index: number, tally: Map<number, number>, table: () => string): Promise<void> => {
    while (!stopping.signal.aborted) {
      const able = cluster.alive.filter((gateway) => !skip.has(gateway));
      const gateway = able[index % Math.max(1, able.length)];
      const status = gateway === undefined ? 0 : await write(gateway, table());
      // It may have been killed or paused under the request.
      if (gateway?.alive === true && !skip.has(gateway)) tally.set(status, (tally.get(status) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const freshName = (): string => {
    const table = cluster.freshTable('traffic');
    asked.add(table);
    return table;
  };
  const loops = [0, 1, 2].flatMap((index) => [
    loop(index, known, () => KNOWN),
    loop(index, fresh, freshName),
  ]);
  return {
    known,
    fresh,
    skip,
    async answered(kind, status, count = 3) {
      const tally = kind === 'known' ? known : fresh;
      const wanted = (tally.get(status) ?? 0) + count;
      await eventually(`${count} writes to ${kind} tables are answered ${status}`, () => {
        return (tally.get(status) ?? 0) >= wanted;
      });
    },
    async finish() {
      stopping.abort();
      await Promise.all(loops);
      assert.deepEqual(
        [...known.keys()],
        [204],
        `statuses of the known table: ${JSON.stringify([...known])}`,
      );
      for (const table of asked) {
        if (cluster.database.has(table)) continue;
        const gateway = cluster.alive[0] as ClusterGateway;
        await eventually(`${table} is made`, async () => (await write(gateway, table)) === 204);
      }
    },
  };
}

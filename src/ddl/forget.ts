/** Drops negative results, and breakers, from the store; every gateway sees them go by its watch. */
import type { ForgetScope } from '../model/ddl-queue.ts';
import type { Compare, Op, Store } from './store.ts';
import type { DdlView } from './view.ts';

/** Keys per transaction; each is a compare and an operation. */
const BATCH_KEYS = 64;

/**
 * Deletes what is in the scope as the view shows it, and answers how many there were. `all` includes the breakers.
 * A result that changed meanwhile stays.
 * @throws {StoreError} of any kind; some may have been dropped
 */
export async function forgetOutcomes(
  scope: ForgetScope,
  deps: { readonly store: Store; readonly view: DdlView },
  signal: AbortSignal,
): Promise<number> {
  const outs = [...deps.view.outs.values()].filter(
    ({ value }) => value.failures.length > 0 && inScope(scope, value.database, value.table),
  );
  const found = [...outs, ...(scope.kind === 'all' ? deps.view.breakers.values() : [])];
  let dropped = 0;
  for (let from = 0; from < found.length; from += BATCH_KEYS) {
    const batch = found.slice(from, from + BATCH_KEYS);
    dropped += await dropUnchanged(batch, deps.store, signal);
  }
  return dropped;
}

/** All at once; one by one when some have changed. */
async function dropUnchanged(
  entries: readonly { readonly key: string; readonly mod: number }[],
  store: Store,
  signal: AbortSignal,
): Promise<number> {
  const compare: Compare[] = entries.map(({ key, mod }) => ({ key, mod }));
  const success: Op[] = entries.map(({ key }) => ({ op: 'delete', key }));
  const { ok } = await store.txn({ label: 'forget', compare, success }, signal);
  if (ok) return entries.length;
  if (entries.length === 1) return 0;
  let dropped = 0;
  for (const entry of entries) dropped += await dropUnchanged([entry], store, signal);
  return dropped;
}

function inScope(scope: ForgetScope, database: string, table: string | undefined): boolean {
  if (scope.kind === 'all') return true;
  if (scope.database !== database) return false;
  return scope.kind === 'table' ? scope.table === table : (table ?? '').startsWith(scope.table);
}

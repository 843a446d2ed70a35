/** Rules between the options of etcd; they hold only when the queue is kept there. */
import type { BrokenRule, Lookup } from './checks.ts';

/** All broken rules. */
export function checkEtcdRules(lookup: Lookup): readonly BrokenRule[] {
  if (lookup('ddl.store') !== 'etcd') return [];
  return [...endpoints(lookup), ...pairs(lookup), ...timeout(lookup)];
}

function endpoints(lookup: Lookup): BrokenRule[] {
  const path = 'etcd.endpoints';
  const given = lookup(path) as readonly string[] | undefined;
  if (given === undefined) return [];
  if (given.length === 0) return [{ path, must: 'name at least one endpoint' }];
  const plain = given.some((endpoint) => endpoint.startsWith('http://'));
  const secure = given.some((endpoint) => endpoint.startsWith('https://'));
  if (plain && secure) return [{ path, must: 'be all http:// or all https://' }];
  const files = (['etcd.caFile', 'etcd.certFile', 'etcd.keyFile'] as const).filter((file) => lookup(file));
  if (plain && files.length > 0) return [{ path, must: `be https://, because ${files[0]} is set` }];
  return [];
}

/** Either is useless without the other. */
function pairs(lookup: Lookup): BrokenRule[] {
  const PAIRS = [
    ['etcd.certFile', 'etcd.keyFile'],
    ['etcd.username', 'etcd.password'],
  ] as const;
  return PAIRS.flatMap(([a, b]) => {
    const [one, other] = [lookup(a), lookup(b)];
    if (one === undefined || other === undefined || (one === '') === (other === '')) return [];
    const [missing, given] = one === '' ? [a, b] : [b, a];
    return [{ path: missing, must: `be set too, because ${given} is` }];
  });
}

function timeout(lookup: Lookup): BrokenRule[] {
  const path = 'etcd.requestTimeoutMs';
  const timeoutMs = lookup(path) as number | undefined;
  const leaseMs = lookup('ddl.leaseMs') as number | undefined;
  if (timeoutMs === undefined || leaseMs === undefined || timeoutMs <= leaseMs / 2) return [];
  return [{ path, must: `be at most half of ddl.leaseMs, which is ${leaseMs}` }];
}

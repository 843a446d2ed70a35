/** Rules between options. Each is checked only when the options it names are themselves well-formed. */
import { checkEtcdRules } from './checks-etcd.ts';
import type { OptionPath } from './options.ts';

/** The value of an option, or undefined when it was not well-formed. */
export type Lookup = (path: OptionPath) => unknown;

/** A broken rule: the option at fault, and what it must be instead. */
export interface BrokenRule {
  readonly path: OptionPath;
  readonly must: string;
}

/** In each pair the first must not be greater than the second. */
const AT_MOST: readonly (readonly [OptionPath, OptionPath])[] = [
  ['listen.headersTimeoutMs', 'listen.requestTimeoutMs'],
  ['limits.bodyBytes', 'limits.inflatedBytes'],
  ['limits.inflatedBytes', 'flush.maxPendingBytes'],
  ['guard.createsPerSecPerTenant', 'guard.createsPerSec'],
  ['ddl.maxOpenTasksPerTenant', 'ddl.maxOpenTasks'],
  ['ddl.transientMinMs', 'ddl.transientMaxMs'],
  ['postgres.lockTimeoutMs', 'postgres.statementTimeoutMs'],
  ['ddl.permanentMinMs', 'ddl.permanentMaxMs'],
];

/** All broken rules. */
export function checkRules(lookup: Lookup): readonly BrokenRule[] {
  return [
    brokenOrder,
    largestBody,
    remoteListen,
    tlsFiles,
    sameColumn,
    logNeedsSpool,
    checkEtcdRules,
  ].flatMap((rule) => rule(lookup));
}

function brokenOrder(lookup: Lookup): BrokenRule[] {
  return AT_MOST.flatMap(([small, large]) => {
    const low = lookup(small);
    const high = lookup(large);
    if (low === undefined || high === undefined || (low as number) <= (high as number)) return [];
    return [{ path: small, must: `be at most ${large}, which is ${high as number}` }];
  });
}

/** A body is held as received and inflated at once: the largest one must fit, or it is told to come again for ever. */
function largestBody(lookup: Lookup): BrokenRule[] {
  const [body, inflated, inflight] = (['bodyBytes', 'inflatedBytes', 'inflightBytes'] as const).map(
    (name) => lookup(`limits.${name}`) as number | undefined,
  );
  if (body === undefined || inflated === undefined || inflight === undefined) return [];
  if (inflight >= body + inflated) return [];
  const must = `be at least limits.bodyBytes and limits.inflatedBytes together, which is ${body + inflated}`;
  return [{ path: 'limits.inflightBytes', must }];
}

/** Without authentication, only this machine may reach the port unless the operator says otherwise. */
function remoteListen(lookup: Lookup): BrokenRule[] {
  const host = lookup('listen.host') as string | undefined;
  if (host === undefined || isLoopback(host) || lookup('access.file') !== '') return [];
  if (lookup('listen.allowRemoteUnauthenticated') !== false) return [];
  const must =
    'be a loopback address (127.0.0.1, ::1, localhost), because access.file is empty; name a file of users, or set ' +
    'listen.allowRemoteUnauthenticated to true if the network itself keeps strangers out';
  return [{ path: 'listen.host', must }];
}

/** True for the addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** A key without a certificate, or the other way round; and who is to sign what clients show. */
function tlsFiles(lookup: Lookup): BrokenRule[] {
  const given = (path: OptionPath): boolean => lookup(path) !== undefined && lookup(path) !== '';
  const needs = (path: OptionPath, other: OptionPath): BrokenRule[] =>
    given(other) && lookup(path) === '' ? [{ path, must: `be set too, because ${other} is` }] : [];
  const asked = lookup('tls.clientAuth') !== undefined && lookup('tls.clientAuth') !== 'none';
  const must = 'be set too, because tls.clientAuth asks for certificates';
  return [
    ...needs('tls.certFile', 'tls.keyFile'),
    ...needs('tls.keyFile', 'tls.certFile'),
    ...needs('tls.certFile', 'tls.clientCaFile'),
    ...(asked && lookup('tls.clientCaFile') === '' ? [{ path: 'tls.clientCaFile' as const, must }] : []),
  ];
}

function logNeedsSpool(lookup: Lookup): BrokenRule[] {
  if (lookup('flush.ack') !== 'log' || lookup('spool.enabled') !== false) return [];
  return [{ path: 'flush.ack', must: 'be auto or database, because spool.enabled is false' }];
}

/** DuckDB folds case even in quoted names. */
function sameColumn(lookup: Lookup): BrokenRule[] {
  const value = lookup('opentsdb.valueColumn') as string | undefined;
  const time = lookup('duckdb.timeColumn') as string | undefined;
  if (value === undefined || time === undefined || value.toLowerCase() !== time.toLowerCase()) return [];
  return [
    { path: 'opentsdb.valueColumn', must: `differ from duckdb.timeColumn, which is ${JSON.stringify(time)}` },
  ];
}

/**
 * Says in words what is wrong with the way to etcd and what to do, once per kind of trouble and minute, and when it
 * is over. Told of every call; the text is looked at only when a call fails.
 */
import type { EndpointListener } from './etcd-endpoints.ts';
import { isTokenTrouble, wasNotAnswered } from './etcd-errors.ts';
import type { EtcdAddress, EtcdDeps, EtcdStoreOptions } from './etcd-options.ts';
import type { StoreError } from './store.ts';

const REPEAT_MS = 60_000;

/** What an operator is told. */
export interface Diagnosis {
  readonly problem: string;
  readonly advice: string;
}

type Rule = readonly [pattern: RegExp, problem: string, advice: string];

const CONNECTION: readonly Rule[] = [
  [/ECONNREFUSED/, 'nothing listens there', 'start etcd, or correct etcd.endpoints'],
  [/ENOTFOUND|EAI_AGAIN|Name resolution failed/, 'the host name is not known', 'correct etcd.endpoints'],
  [
    /EHOSTUNREACH|ENETUNREACH|ETIMEDOUT/,
    'the host cannot be reached',
    'check etcd.endpoints, network and firewall',
  ],
  [
    /wrong version number|packet length too long|unknown protocol|before secure TLS connection/i,
    'it does not speak TLS there',
    'write http:// in etcd.endpoints and leave the etcd.*File options out, or use its TLS port',
  ],
  [
    /certificate required|bad certificate|alert number (42|116)|handshake failure/i,
    "etcd refuses the gateway's certificate, or asks for one",
    'set etcd.certFile and etcd.keyFile to a certificate of an authority that etcd trusts',
  ],
  [
    /does not match certificate's altnames/i,
    "etcd's certificate is for another host",
    'write the name that the certificate holds in etcd.endpoints',
  ],
  [
    /certificate has expired|certificate is not yet valid/i,
    "etcd's certificate is not valid now",
    'renew it',
  ],
  [
    /self.signed certificate|unable to (verify|get)|issuer certificate/i,
    "etcd's certificate is not of an authority trusted here",
    "set etcd.caFile to the certificate of etcd's authority",
  ],
];

const REFUSAL: readonly Rule[] = [
  [
    /invalid user ID or password/,
    'etcd refuses user name or password',
    'correct etcd.username and etcd.password',
  ],
  [
    /user name is empty|auth token is not valid/,
    'etcd asks for a user',
    'set etcd.username and etcd.password',
  ],
  [
    /permission denied/,
    'the user may not do this',
    'grant a role with read and write permission on the keys under etcd.prefix',
  ],
];

/** What the failure means at this endpoint; undefined: it says nothing about the way to etcd. */
export function diagnose(error: StoreError, address: EtcdAddress, timeoutMs: number): Diagnosis | undefined {
  if (error.kind === 'denied') return byRules(REFUSAL, error) ?? plain(error);
  if (error.kind !== 'unavailable') return undefined;
  const known = byRules(CONNECTION, error);
  if (known !== undefined) return known;
  if (wasNotAnswered(error)) {
    return {
      problem: `no answer within ${timeoutMs} ms`,
      advice: 'check etcd.endpoints and firewall, and whether etcd is overloaded or has no leader',
    };
  }
  if (/ECONNRESET|Failed to connect|Connection dropped|Protocol error|closed/i.test(error.message)) {
    // A server without TLS may also just hang up on a handshake, before its answer is read.
    const other = address.secure
      ? 'etcd does not speak TLS there; write http:// in etcd.endpoints'
      : 'the port speaks TLS (write https:// in etcd.endpoints) or is not etcd';
    return { problem: 'the connection broke', advice: `if it always does, ${other}` };
  }
  return plain(error);
}

function byRules(rules: readonly Rule[], { message }: StoreError): Diagnosis | undefined {
  const rule = rules.find(([pattern]) => pattern.test(message));
  return rule && { problem: rule[1], advice: rule[2] };
}

function plain({ message }: StoreError): Diagnosis {
  return { problem: message, advice: 'see the log of etcd' };
}

/** Listens to calls and writes the log. */
export function createDiagnosisLog(
  { requestTimeoutMs, username }: Pick<EtcdStoreOptions, 'requestTimeoutMs' | 'username'>,
  { clock, logger }: EtcdDeps,
): EndpointListener {
  const told = new Map<string, { readonly atMs: number; readonly problem: string }>();
  return {
    succeeded(address) {
      if (!told.delete(address.url)) return;
      logger.info({ endpoint: address.url }, 'etcd answers again');
    },
    failed(address, error) {
      // Tokens end in the ordinary course of things, and a new one is got; what then fails is logged.
      if (username !== undefined && isTokenTrouble(error.message)) return;
      const diagnosis = diagnose(error, address, requestTimeoutMs);
      if (diagnosis === undefined) return;
      const { problem, advice } = diagnosis;
      const before = told.get(address.url);
      if (before?.problem === problem && clock.now() - before.atMs < REPEAT_MS) return;
      told.set(address.url, { atMs: clock.now(), problem });
      logger.warn(
        { endpoint: address.url, user: username, reason: error.message },
        `etcd at ${address.url}: ${problem}; ${advice}`,
      );
    },
  };
}

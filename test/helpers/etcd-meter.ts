/** Looks at a real etcd from outside: its own metrics, and counts of keys by its HTTP interface. */

/** What etcd says of itself. */
export interface EtcdReading {
  readonly dbSizeBytes: number;
  readonly inUseBytes: number;
  readonly quotaBytes: number;
  /** Keys under the prefix asked for. */
  readonly keys: number;
  /** The alarm is up: no put passes. */
  readonly nospace: boolean;
}

/** Reads it; undefined when it does not answer. */
export async function readEtcd(url: string, prefix: string): Promise<EtcdReading | undefined> {
  try {
    const [metrics, keys, alarms] = await Promise.all([
      text(`${url}/metrics`),
      countKeys(url, prefix),
      post(`${url}/v3/maintenance/alarm`, { action: 'GET' }) as Promise<{ alarms?: { alarm?: string }[] }>,
    ]);
    return {
      dbSizeBytes: value(metrics, 'etcd_mvcc_db_total_size_in_bytes'),
      inUseBytes: value(metrics, 'etcd_mvcc_db_total_size_in_use_in_bytes'),
      quotaBytes: value(metrics, 'etcd_server_quota_backend_bytes'),
      keys,
      nospace: (alarms.alarms ?? []).some(({ alarm }) => alarm === 'NOSPACE'),
    };
  } catch {
    return undefined;
  }
}

/** Keys under a prefix. */
export async function countKeys(url: string, prefix: string): Promise<number> {
  const key = Buffer.from(prefix);
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) as number) + 1;
  const range = { key: key.toString('base64'), range_end: end.toString('base64'), count_only: true };
  const { count = '0' } = (await post(`${url}/v3/kv/range`, range)) as { readonly count?: string };
  return Number(count);
}

/** Calls to etcd by gateways since it started: reads and transactions. */
export async function countCalls(url: string): Promise<number> {
  const metrics = await text(`${url}/metrics`);
  const calls =
    /^grpc_server_started_total\{grpc_method="(?:Range|Txn|Put|DeleteRange|LeaseGrant)".*\} (\S+)$/gm;
  let sum = 0;
  for (const [, count] of metrics.matchAll(calls)) sum += Number(count);
  return sum;
}

function value(metrics: string, name: string): number {
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1] ?? Number.NaN);
}

async function text(url: string): Promise<string> {
  return await (await fetch(url, { signal: AbortSignal.timeout(2_000) })).text();
}

async function post(url: string, body: object): Promise<unknown> {
  const signal = AbortSignal.timeout(2_000);
  return await (await fetch(url, { method: 'POST', body: JSON.stringify(body), signal })).json();
}

/** docker-compose.yml and Dockerfile, as far as they can be judged without an engine. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config.ts';

interface Service {
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly ports?: readonly string[];
  readonly profiles?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly volumes?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const compose = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as Compose;
const services = Object.entries(compose.services);
const gateways = services.filter(([name]) => name.startsWith('gateway'));

/** The variables as the gateway gets them when `SINK_KIND` is set to this. */
function withSink(environment: Readonly<Record<string, string>>, kind: string): Record<string, string> {
  return { ...environment, SLUICE_SINK_KIND: kind };
}

describe('docker-compose.yml', () => {
  it('publishes ports on the loopback address only', () => {
    const ports = services.flatMap(([, { ports: given = [] }]) => given);
    assert.ok(ports.length >= 3);
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/);
  });

  it('has a health check for every service, and waits for those that are depended on', () => {
    for (const [name, { healthcheck, depends_on: others = {} }] of services) {
      assert.ok((healthcheck?.test.length ?? 0) > 1, name);
      assert.ok(healthcheck?.test.every((part) => typeof part === 'string'));
      for (const [other, { condition }] of Object.entries(others)) {
        assert.ok(other in compose.services);
        assert.equal(condition, 'service_healthy');
      }
    }
  });

  it('gives two gateways a configuration that is valid', () => {
    assert.equal(gateways.length, 2);
    for (const [name, { environment = {} }] of gateways) {
      for (const kind of ['postgres', 'greptimedb']) {
        const loaded = loadConfig({ env: withSink(environment, kind) });
        assert.deepEqual(loaded.kind === 'invalid' ? loaded.problems : [], [], `${name} with ${kind}`);
      }
    }
  });

  it('gives both gateways the same database and the same queue', () => {
    const [first, second] = gateways.map(([, { environment = {} }]) => environment);
    assert.deepEqual(first, second);
    const { SLUICE_SINK_KIND: kind, SLUICE_POSTGRES_HOST: host, SLUICE_DDL_STORE: store } = first ?? {};
    assert.deepEqual([kind, host, store], ['${SINK_KIND:-postgres}', 'database', 'etcd']);
    const { POSTGRES_USER: user, POSTGRES_DB: database } = compose.services['database']?.environment ?? {};
    assert.deepEqual(
      [user, database],
      [first?.['SLUICE_POSTGRES_USER'], first?.['SLUICE_POSTGRES_DATABASE']],
    );
  });

  it('has a GreptimeDB that starts only when asked for, at the address that the gateways have', () => {
    const { profiles, ports } = compose.services['greptimedb'] ?? {};
    assert.deepEqual([profiles, ports], [['greptimedb'], ['127.0.0.1:4000:4000']]);
    for (const [, { environment }] of gateways)
      assert.equal(environment?.['SLUICE_GREPTIMEDB_URL'], 'http://greptimedb:4000');
  });

  it('bounds etcd in size and history', () => {
    const flags = compose.services['etcd']?.command?.join(' ') ?? '';
    assert.match(flags, /--quota-backend-bytes=\d+/);
    assert.match(flags, /--auto-compaction-mode=periodic --auto-compaction-retention=\d+m/);
  });

  it('declares the volumes that it mounts', () => {
    const mounted = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0]));
    assert.deepEqual(new Set(mounted), new Set(Object.keys(compose.volumes)));
  });
});

describe('Dockerfile', () => {
  const lines = readFileSync('Dockerfile', 'utf8').split('\n');

  it('copies only what .dockerignore lets through, and nothing that does not exist', () => {
    const ignore = readFileSync('.dockerignore', 'utf8');
    const copied = lines
      .filter((line) => /^COPY (?!--from)/.test(line))
      .flatMap((line) => line.split(' ').slice(1, -1));
    assert.ok(copied.length > 4);
    for (const path of copied) assert.ok(ignore.includes(`!${path.replace('./', '')}\n`), path);
  });

  it('leaves development packages out of the last stage, and root too', () => {
    const last = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')));
    assert.ok(lines.includes('RUN npm ci --omit=dev --no-audit --no-fund'));
    assert.ok(last.includes('COPY --from=dependencies /build/node_modules ./node_modules'));
    assert.ok(last.includes('USER node'));
    assert.ok(!last.some((line) => line.startsWith('COPY --from=build') && line.includes('node_modules')));
  });
});

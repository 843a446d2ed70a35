import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buildConfig } from '../../src/config/load.ts';
import { text } from '../../src/config/option.ts';
import { ALL_OPTIONS, listOptions } from '../../src/config/options.ts';
import { type Config, loadConfig } from '../../src/config.ts';

type Env = Readonly<Record<string, string>>;

function load(yaml: string, env: Env = {}) {
  return loadConfig({ file: 'sluice.yaml', env, readFile: () => yaml });
}

function configOf(yaml: string, env: Env = {}): Config {
  const loaded = load(yaml, env);
  assert.equal(loaded.kind, 'ok', loaded.kind === 'invalid' ? loaded.problems.join('\n') : '');
  return loaded.config;
}

function problemsOf(yaml: string, env: Env = {}): readonly string[] {
  const loaded = load(yaml, env);
  return loaded.kind === 'invalid' ? loaded.problems : [];
}

describe('the option table', () => {
  it('has a name and a variable for each option that no other has', () => {
    assert.equal(new Set(ALL_OPTIONS.map((entry) => entry.path)).size, ALL_OPTIONS.length);
    assert.equal(new Set(ALL_OPTIONS.map((entry) => entry.variable)).size, ALL_OPTIONS.length);
  });

  it('names variables after group and option', () => {
    const names = new Map(ALL_OPTIONS.map((entry) => [entry.path, entry.variable]));
    assert.equal(names.get('listen.port'), 'SLUICE_LISTEN_PORT');
    assert.equal(names.get('guard.maxNewTablesPerRequest'), 'SLUICE_GUARD_MAX_NEW_TABLES_PER_REQUEST');
  });

  it('has defaults that are themselves allowed', () => {
    for (const { path, option } of ALL_OPTIONS) {
      const raw = Array.isArray(option.default) ? (option.default as string[]) : String(option.default);
      assert.deepEqual(option.read(raw), option.default, path);
    }
  });

  it('gives every value in range where 0 has a meaning', () => {
    for (const { path, option } of ALL_OPTIONS) {
      if (option.zero !== undefined) assert.equal(option.read('0'), 0, path);
    }
  });
});

describe('loadConfig', () => {
  it('gives the defaults without a file', () => {
    const loaded = loadConfig({ env: {} });
    assert.equal(loaded.kind, 'ok');
    const { config, sources } = loaded;
    assert.equal(config.listen.host, '127.0.0.1');
    assert.equal(config.limits.bodyBytes, 32 * 1024 * 1024);
    assert.deepEqual(config.policy.deny, []);
    assert.equal(sources.size, 0);
  });

  it('freezes the configuration at every level', () => {
    const config = configOf('policy: { deny: [a, b] }');
    assert.ok([config, config.policy, config.policy.deny, config.policy.allow].every(Object.isFrozen));
  });

  it('lets the environment win over the file, and the file over the default', () => {
    const loaded = load('listen:\n  port: 1\n  maxConnections: 7\n', { SLUICE_LISTEN_PORT: '2' });
    assert.equal(loaded.kind, 'ok');
    const { config, sources } = loaded;
    assert.deepEqual([config.listen.port, config.listen.maxConnections], [2, 7]);
    assert.deepEqual(
      [...sources],
      [
        ['listen.port', 'SLUICE_LISTEN_PORT'],
        ['listen.maxConnections', 'sluice.yaml:3'],
      ],
    );
  });

  it('reads the file that SLUICE_CONFIG names, unless another is given', () => {
    const asked: string[] = [];
    const readFile = (path: string) => {
      asked.push(path);
      return '';
    };
    loadConfig({ env: { SLUICE_CONFIG: 'a.yaml' }, readFile });
    loadConfig({ env: { SLUICE_CONFIG: '' }, readFile });
    loadConfig({ file: 'b.yaml', env: { SLUICE_CONFIG: 'a.yaml' }, readFile });
    assert.deepEqual(asked, ['a.yaml', 'b.yaml']);
  });

  it('says so when the file cannot be read', () => {
    const loaded = loadConfig({ file: '/nowhere/sluice.yaml', env: {} });
    assert.equal(loaded.kind, 'invalid');
    assert.match(String(loaded.problems), /"\/nowhere\/sluice.yaml" cannot be read: ENOENT/);
  });

  const values: readonly [string, string, (config: Config) => unknown, unknown][] = [
    ['plain bytes', 'limits: { lineBytes: 1024 }', (c) => c.limits.lineBytes, 1024],
    ['bytes with a unit', 'limits: { bodyBytes: 2MiB }', (c) => c.limits.bodyBytes, 2_097_152],
    ['a unit after a space', 'limits: { bodyBytes: "64 KiB" }', (c) => c.limits.bodyBytes, 65_536],
    ['plain milliseconds', 'ddl: { timeoutMs: 1500 }', (c) => c.ddl.timeoutMs, 1_500],
    ['times with a unit', 'ddl: { timeoutMs: 2m }', (c) => c.ddl.timeoutMs, 120_000],
    ['a quoted number', 'listen: { port: "8080" }', (c) => c.listen.port, 8_080],
    ['text as it is written', 'influx: { reportedVersion: 1.10 }', (c) => c.influx.reportedVersion, '1.10'],
    ['empty text', "opentsdb: { extraNameChars: '' }", (c) => c.opentsdb.extraNameChars, ''],
    ['a flag', 'sql: { enabled: false }', (c) => c.sql.enabled, false],
    ['a choice', 'policy: { autoCreate: observe }', (c) => c.policy.autoCreate, 'observe'],
    [
      'a word that YAML 1.1 takes for a flag',
      'policy: { autoCreate: off }',
      (c) => c.policy.autoCreate,
      'off',
    ],
    ['a sequence', 'policy: { deny: [tmp.*, "a{1,2}"] }', (c) => c.policy.deny, ['tmp.*', 'a{1,2}']],
    ['a block sequence', 'policy:\n  deny:\n    - 7\n    - b\n', (c) => c.policy.deny, ['7', 'b']],
    ['a list as text', 'policy: { deny: "a, b" }', (c) => c.policy.deny, ['a', 'b']],
    ['an empty list', 'policy: { deny: [] }', (c) => c.policy.deny, []],
    ['an empty group', 'policy:\nlisten:\n  port: 1', (c) => c.listen.port, 1],
    ['an empty file', '# nothing\n', (c) => c.listen.port, 4242],
  ];
  for (const [title, yaml, pick, expected] of values) {
    it(`reads ${title}`, () => assert.deepEqual(pick(configOf(yaml)), expected));
  }

  const variables: readonly [string, string, (config: Config) => unknown, unknown][] = [
    ['SLUICE_POLICY_ALLOW', 'cpu\\..*, mem', (c) => c.policy.allow, ['cpu\\..*', 'mem']],
    ['SLUICE_POLICY_ALLOW', '', (c) => c.policy.allow, []],
    ['SLUICE_FLUSH_MAX_PENDING_BYTES', '1GiB', (c) => c.flush.maxPendingBytes, 1_073_741_824],
    ['SLUICE_SQL_ENABLED', 'false', (c) => c.sql.enabled, false],
    ['SLUICE_DUCKDB_PATH', ':memory:', (c) => c.duckdb.path, ':memory:'],
  ];
  for (const [name, raw, pick, expected] of variables) {
    it(`reads ${name}=${raw}`, () => assert.deepEqual(pick(configOf('', { [name]: raw })), expected));
  }
});

describe('mistakes in the configuration', () => {
  it('are all reported at once, each with option, value, place and what is allowed', () => {
    const yaml = 'listen:\n  port: 70000\nlog:\n  level: loud\n';
    assert.deepEqual(problemsOf(yaml, { SLUICE_DDL_CONCURRENCY: 'many' }), [
      'listen.port "70000" (sluice.yaml:2) must be an integer from 0 to 65535',
      'log.level "loud" (sluice.yaml:4) must be one of trace, debug, info, warn, error, fatal, silent',
      'ddl.concurrency "many" (SLUICE_DDL_CONCURRENCY) must be an integer from 0 to 64',
    ]);
  });

  it('are found in the file even where the environment overrides it', () => {
    assert.deepEqual(problemsOf('listen: { port: x }', { SLUICE_LISTEN_PORT: '1' }).length, 1);
  });

  const wrong: readonly [string, string, RegExp][] = [
    ['a negative number', 'listen: { port: -1 }', /listen.port "-1"/],
    ['a fraction', 'ddl: { concurrency: 1.5 }', /ddl.concurrency "1.5"/],
    ['an exponent', 'ddl: { concurrency: 1e1 }', /ddl.concurrency "1e1"/],
    ['a hexadecimal number', 'ddl: { concurrency: 0x10 }', /ddl.concurrency "0x10"/],
    ['a number beyond every range', 'ddl: { concurrency: 99999999999999999999 }', /must be an integer/],
    ['an unknown unit', 'limits: { bodyBytes: 32MB }', /"32MB".*must be a size from 1KiB to 1GiB/],
    ['a unit on a plain number', 'listen: { port: 4s }', /listen.port "4s"/],
    ['yes for true', 'sql: { enabled: yes }', /sql.enabled "yes" \(sluice.yaml:1\) must be true or false/],
    ['an option without value', 'listen:\n  port:\n', /listen.port \(sluice.yaml:2\)/],
    ['null', 'listen: { port: null }', /listen.port \(sluice.yaml:1\)/],
    ['a mapping for a value', 'listen: { port: { a: 1 } }', /listen.port \(sluice.yaml:1\)/],
    ['a sequence for a value', 'listen: { port: [1] }', /listen.port \["1"\]/],
    ['a nested sequence', 'policy: { deny: [[a]] }', /policy.deny \(sluice.yaml:1\)/],
    ['a pattern that does not compile', 'policy: { deny: ["a("] }', /policy.deny \["a\("\].*RE2 patterns/],
    ['an empty pattern', 'policy: { deny: [""] }', /policy.deny \[""\]/],
    ['a name with a control character', 'duckdb: { timeColumn: "a\\0b" }', /duckdb.timeColumn/],
    ['a header injection', 'influx: { reportedVersion: "1.8\\r\\nX: y" }', /influx.reportedVersion/],
    [
      'an unknown option',
      'listen: { prot: 1 }',
      /^sluice.yaml:1: unknown option "listen.prot"; did you mean listen.port\?$/,
    ],
    ['an unknown option nothing is near', 'listen: { zzzzzz: 1 }', /unknown option "listen.zzzzzz"$/],
    ['an unknown group', 'listn: { port: 1 }', /unknown group "listn"; did you mean listen\?/],
    ['a flat option', 'listen.port: 1', /options are nested: write `listen:` and below it `port:`/],
    ['a hostile group', '__proto__: { port: 1 }', /unknown group "__proto__"/],
    ['a hostile option', 'listen: { constructor: 1 }', /unknown option "listen.constructor"/],
    ['a group that is no mapping', 'listen: 4242', /listen must be a mapping, such as `host: …` below it/],
    ['a file that is no mapping', '- listen', /must be a mapping of groups/],
    ['a repeated option', 'listen:\n  port: 1\n  port: 2\n', /^sluice.yaml:3: Map keys must be unique/],
    ['a repeated group', 'log: {}\nlisten: {}\nlog: {}\n', /^sluice.yaml:3: Map keys must be unique/],
    ['broken YAML', 'listen: { port: 1', /^sluice.yaml:1: /],
    ['a key that is a list', '? [log]\n: {}\n', /^sluice.yaml:1: .*keys must be strings/],
    ['several documents', 'log: {}\n---\nlog: {}\n', /multiple documents/],
    ['an unknown tag', 'listen: { port: !secret 1 }', /Unresolved tag: !secret/],
    ['an alias', 'opentsdb: { database: &a x, valueColumn: *a }', /opentsdb.valueColumn \(sluice.yaml:1\)/],
  ];
  for (const [title, yaml, expected] of wrong) {
    it(`include ${title}`, () => {
      const problems = problemsOf(yaml);
      assert.ok(
        problems.some((problem) => expected.test(problem)),
        `${expected} in ${JSON.stringify(problems)}`,
      );
    });
  }

  it('include a bomb of aliases, which is never expanded', () => {
    const levels = Array.from(
      { length: 30 },
      (_, n) => `  k${n + 1}: &l${n + 1} [*l${n}, *l${n}, *l${n}, *l${n}]`,
    );
    const problems = problemsOf(`policy:\n  deny: &l0 [a]\n${levels.join('\n')}\n  allow: *l30\n`);
    assert.ok(problems.some((problem) => problem.startsWith('policy.allow (sluice.yaml:33) must be')));
  });

  it('include an unknown variable with our prefix, with a hint and without its value', () => {
    assert.deepEqual(problemsOf('', { SLUICE_LISTEN_PRT: 'hunter2', SLUICED: 'x', PATH: '/bin' }), [
      'environment: unknown variable "SLUICE_LISTEN_PRT"; did you mean SLUICE_LISTEN_PORT?',
    ]);
    assert.match(String(problemsOf('', { SLUICE_PORT: '4242' })), /unknown variable "SLUICE_PORT"/);
  });

  it('do not include the variables that Kubernetes makes of a service called sluice', () => {
    const env = {
      SLUICE_SERVICE_HOST: '10.0.0.1',
      SLUICE_SERVICE_PORT: '4242',
      SLUICE_SERVICE_PORT_HTTP: '4242',
      SLUICE_PORT: 'tcp://10.0.0.1:4242',
      SLUICE_PORT_4242_TCP: 'tcp://10.0.0.1:4242',
      SLUICE_PORT_4242_TCP_PROTO: 'tcp',
      SLUICE_PORT_4242_TCP_PORT: '4242',
      SLUICE_PORT_4242_TCP_ADDR: '10.0.0.1',
      SLUICE_ETCD_SERVICE_HOST: '10.0.0.2',
      SLUICE_ETCD_PORT: 'tcp://10.0.0.2:2379',
    };
    assert.deepEqual(problemsOf('', env), []);
  });

  it('show long values cut, and secret ones not at all', () => {
    assert.match(
      String(problemsOf(`log: { level: ${'x'.repeat(500)} }`)),
      /^log.level "x{79}… \(sluice.yaml:1\)/,
    );
    const secret = text({ default: '', secret: true, allowed: 'short', test: () => false, doc: '' });
    const loaded = buildConfig(listOptions({ auth: { token: secret } }), undefined, {
      SLUICE_AUTH_TOKEN: 'hunter2',
    });
    assert.deepEqual(loaded, {
      kind: 'invalid',
      problems: ['auth.token (hidden) (SLUICE_AUTH_TOKEN) must be short'],
    });
  });
});

describe('rules between options', () => {
  const broken: readonly [string, RegExp][] = [
    [
      'listen: { headersTimeoutMs: 61s }',
      /^listen.headersTimeoutMs "61s" .* must be at most listen.requestTimeoutMs, which is 60000$/,
    ],
    ['limits: { bodyBytes: 65MiB }', /at most limits.inflatedBytes, which is 67108864/],
    [
      'limits: { inflightBytes: 1MiB }',
      /^limits.inflightBytes .* must be at least limits.bodyBytes and limits.inflatedBytes together, which is 100663296$/,
    ],
    ['flush: { maxPendingBytes: 1MiB }', /must be at most flush.maxPendingBytes/],
    ['guard: { createsPerSec: 10 }', /^guard.createsPerSecPerTenant 20 \(default\)/],
    ['ddl: { maxOpenTasks: 10 }', /^ddl.maxOpenTasksPerTenant 64 \(default\)/],
    ['ddl: { transientMinMs: 60s }', /must be at most ddl.transientMaxMs/],
    ['ddl: { permanentMaxMs: 1s }', /must be at most ddl.permanentMaxMs/],
    ['ddl: { store: etcd }\netcd: { endpoints: [] }', /must name at least one endpoint/],
    ['ddl: { store: etcd }\netcd: { endpoints: ["http://a:1", "https://b:1"] }', /must be all http/],
    [
      'ddl: { store: etcd }\netcd: { endpoints: ["http://a:1"], caFile: ca }',
      /must be https.* etcd.caFile is set/,
    ],
    [
      'ddl: { store: etcd }\netcd: { certFile: c }',
      /^etcd.keyFile .* must be set too, because etcd.certFile is/,
    ],
    ['ddl: { store: etcd }\netcd: { username: u }', /^etcd.password \(hidden\) .* must be set too/],
    ['ddl: { store: etcd, leaseMs: 5s }', /^etcd.requestTimeoutMs .* must be at most half of ddl.leaseMs/],
    ['etcd: { endpoints: ["ftp://a:1"] }', /^etcd.endpoints .* must be a list of host:port/],
    ['etcd: { prefix: /sluice/ }', /^etcd.prefix .* without a slash at the end/],
    ['opentsdb: { valueColumn: TIME }', /must differ from duckdb.timeColumn, which is "time"/],
    ['listen: { host: 0.0.0.0 }', /^listen.host "0.0.0.0" \(sluice.yaml:1\) must be a loopback address/],
    ['listen: { host: 127.example.org }', /must be a loopback address/],
    ['listen: { host: "::" }', /must be a loopback address/],
  ];
  for (const [yaml, expected] of broken) {
    it(`refuse ${yaml}`, () => {
      const problems = problemsOf(yaml);
      assert.equal(problems.length, 1);
      assert.match(problems[0] as string, expected);
    });
  }

  it('let the port be reachable from other machines only when that is asked for', () => {
    const config = configOf('listen: { host: 0.0.0.0, allowRemoteUnauthenticated: true }');
    assert.equal(config.listen.host, '0.0.0.0');
    assert.equal(
      configOf('{ listen: { host: 0.0.0.0 }, access: { file: users.yaml } }').listen.host,
      '0.0.0.0',
    );
    for (const host of ['::1', 'localhost', '127.1.2.3']) {
      assert.equal(configOf(`listen: { host: "${host}" }`).listen.host, host);
    }
  });

  for (const yaml of [
    'ddl: { transientMinMs: 30s }',
    'limits: { inflightBytes: 96MiB }',
    'limits: { bodyBytes: 64MiB }',
  ]) {
    it(`allow ${yaml}, which is just enough`, () => assert.deepEqual(problemsOf(yaml), []));
  }

  for (const yaml of [
    'ddl: { transientMinMs: x, transientMaxMs: 10 }',
    'limits: { bodyBytes: x, inflightBytes: 1MiB }',
    'limits: { inflightBytes: x, bodyBytes: 64MiB }',
    'duckdb: { timeColumn: "" }',
  ]) {
    it(`are not applied to values that are mistakes themselves: ${yaml}`, () => {
      assert.equal(problemsOf(yaml).length, 1);
    });
  }
});

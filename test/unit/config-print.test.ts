import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { renderConfigurationDocs } from '../../src/config/docs.ts';
import { buildConfig } from '../../src/config/load.ts';
import { type Option, text } from '../../src/config/option.ts';
import { ALL_OPTIONS, listOptions } from '../../src/config/options.ts';
import { printConfig } from '../../src/config/print.ts';
import { loadConfig } from '../../src/config.ts';

/** Texts that an option may take, from the smallest to the oddest. */
function candidates(option: Option<unknown>): fc.Arbitrary<string> {
  const odd = [
    '0',
    '1',
    '100',
    '75000',
    'true',
    'false',
    'off',
    'null',
    '~',
    ' x ',
    '#',
    ': a',
    "'",
    '"',
    'é🙂',
    'a,b',
  ];
  const fromAllowed = [...option.allowed.matchAll(/[A-Za-z0-9.:]+/g)].map(([word]) => word);
  return fc.oneof(fc.constantFrom(...odd, ...fromAllowed), fc.string({ unit: 'grapheme', maxLength: 8 }));
}

/** Secrets are not printed, so they cannot be loaded again. */
const PRINTED = ALL_OPTIONS.filter(({ option }) => option.secret !== true);

const environments = fc
  .record(Object.fromEntries(PRINTED.map(({ variable, option }) => [variable, candidates(option)])), {
    requiredKeys: [],
  })
  .map((env) => {
    const valid = PRINTED.filter(({ variable, option }) => {
      const raw = env[variable];
      return raw !== undefined && option.read(raw) !== undefined;
    });
    return Object.fromEntries(valid.map(({ variable }) => [variable, env[variable] as string]));
  });

describe('printConfig', () => {
  it('writes YAML that loads as the same configuration', () => {
    let loadable = 0;
    fc.assert(
      fc.property(environments, (env) => {
        const given = loadConfig({ env });
        if (given.kind === 'invalid') return;
        loadable++;
        const yaml = printConfig(given.config, given.sources);
        const again = loadConfig({ file: 'printed.yaml', env: {}, readFile: () => yaml });
        assert.deepEqual(again.kind === 'ok' ? again.config : again, given.config);
      }),
      { numRuns: 300 },
    );
    assert.ok(loadable > 0);
  });

  it('says of every value that is no default where it comes from', () => {
    const readFile = () => 'log:\n  level: warn\npolicy:\n  deny: [a, b]\n';
    const env = { SLUICE_LISTEN_PORT: '0', SLUICE_POLICY_ALLOW: '' };
    const loaded = loadConfig({ file: 's.yaml', env, readFile });
    assert.equal(loaded.kind, 'ok');
    const { config, sources } = loaded;
    const printed = printConfig(config, sources);
    assert.match(printed, /^ {2}port: 0 # SLUICE_LISTEN_PORT$/m);
    assert.match(printed, /^ {2}level: warn # s.yaml:2$/m);
    assert.match(printed, /^ {2}deny:\n {4}# s.yaml:4\n {4}- a\n {4}- b\n/m);
    assert.match(printed, /^ {2}allow:\n {4}# SLUICE_POLICY_ALLOW\n {4}\[\]\n/m);
    assert.match(printed, /^ {2}host: 127.0.0.1$/m);
  });

  it('masks secrets', () => {
    const token = text({ default: '', secret: true, allowed: 'text', test: () => true, doc: '' });
    const entries = listOptions({ auth: { token } });
    const loaded = buildConfig(entries, undefined, { SLUICE_AUTH_TOKEN: 'hunter2' });
    assert.equal(loaded.kind, 'ok');
    const { config, sources } = loaded;
    assert.equal(printConfig(config, sources, entries), 'auth:\n  token: "********" # SLUICE_AUTH_TOKEN\n');
  });
});

describe('docs/configuration.md', () => {
  it('is what the option table says (else run `npm run docs`)', () => {
    assert.equal(readFileSync('docs/configuration.md', 'utf8'), renderConfigurationDocs());
  });

  it('describes every option with its variable', () => {
    const docs = renderConfigurationDocs();
    for (const { path, variable } of ALL_OPTIONS) {
      assert.ok(docs.includes(`### ${path}\n`) && docs.includes(`\`${variable}\``), path);
    }
  });
});

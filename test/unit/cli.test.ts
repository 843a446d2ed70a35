import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCommandLine } from '../../src/cli.ts';
import { packageVersion } from '../../src/version.ts';

const NO_FILES = {
  env: {},
  readFile: () => {
    throw new Error('no such file');
  },
};

function run(args: readonly string[], yaml?: string) {
  return readCommandLine(args, '1.2.3', yaml === undefined ? NO_FILES : { env: {}, readFile: () => yaml });
}

describe('readCommandLine', () => {
  it('runs with the configuration that the arguments name', () => {
    const action = run(['--config', 'x.yaml'], 'listen: { port: 0 }');
    assert.equal(action.kind === 'run' && action.config.listen.port, 0);
  });

  it('runs with the defaults when there are no arguments', () => {
    const action = run([]);
    assert.equal(action.kind === 'run' && action.config.listen.port, 4242);
  });

  const printed: readonly [string[], RegExp][] = [
    [['--help'], /^Usage: sluice/],
    [['-h'], /^Usage: sluice/],
    [['--version'], /^sluice 1\.2\.3\n$/],
    [['--help', '--config', 'missing.yaml'], /^Usage: sluice/],
    [['--check-config'], /^The configuration is valid\.\n$/],
    [['--print-config'], /^listen:\n {2}host: 127\.0\.0\.1\n/],
    [['--check-config', '--print-config'], /^listen:\n/],
  ];
  for (const [args, expected] of printed) {
    it(`prints and ends with 0 for ${args.join(' ')}`, () => {
      const action = run(args);
      assert.deepEqual([action.kind, action.kind === 'exit' && action.exitCode], ['exit', 0]);
      assert.match(action.kind === 'exit' ? action.text : '', expected);
    });
  }

  for (const args of [['--prot', '1'], ['serve'], ['--config'], ['--config='], ['--help=yes'], ['-x']]) {
    it(`ends with 2 for ${args.join(' ')}`, () => {
      const action = run(args);
      assert.deepEqual([action.kind, action.kind === 'exit' && action.exitCode], ['exit', 2]);
    });
  }

  it('shows the usage after arguments that it does not know', () => {
    const action = run(['--prot']);
    assert.match(
      action.kind === 'exit' ? action.text : '',
      /^sluice: Unknown option '--prot'.*\n\nUsage: sluice/,
    );
  });

  for (const flags of [[], ['--check-config'], ['--print-config']]) {
    it(`ends with 2 and every mistake for ${['a broken configuration', ...flags].join(' and ')}`, () => {
      assert.deepEqual(run(['--config', 'x.yaml', ...flags], 'log: { level: loud }\nlisten: { port: x }\n'), {
        kind: 'exit',
        exitCode: 2,
        text:
          'sluice: the configuration has 2 mistakes:\n' +
          '  - listen.port "x" (x.yaml:2) must be an integer from 0 to 65535\n' +
          '  - log.level "loud" (x.yaml:1) must be one of trace, debug, info, warn, error, fatal, silent\n',
      });
    });
  }

  for (const [args, yaml, path] of [
    [['ls'], undefined, 'data/dead-letter'],
    [['ls', '--config', 'x.yaml'], 'deadLetter: { path: elsewhere }', 'elsewhere'],
    [['ls', '--path', 'here'], 'log: { level: loud }', 'here'],
  ] as const) {
    it(`finds the dead letter in ${path} for dead-letter ${args.join(' ')}`, () => {
      const action = run(['dead-letter', ...args], yaml);
      assert.deepEqual(action, { kind: 'command', command: { kind: 'ls', path, json: false } });
    });
  }

  it('ends with 2 and every mistake when a command needs a broken configuration', () => {
    const action = run(['dead-letter', 'ls', '--config', 'x.yaml'], 'log: { level: loud }');
    assert.match(
      action.kind === 'exit' ? `${action.exitCode} ${action.text}` : '',
      /^2 sluice: .*log\.level/s,
    );
  });

  it('names a configuration file that cannot be read', () => {
    const action = run(['--config', 'x.yaml']);
    assert.match(
      action.kind === 'exit' ? action.text : '',
      /one mistake:\n {2}- .*"x.yaml" cannot be read: no such file\n$/,
    );
  });
});

describe('packageVersion', () => {
  it('finds the version of the package', () => assert.match(packageVersion(), /^\d+\.\d+\.\d+/));
});

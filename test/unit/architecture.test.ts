import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, it } from 'node:test';
import { unusedGrants, violationsOf } from '../helpers/architecture.ts';

function sourceFiles(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => posix.join(folder, name.replaceAll('\\', '/')));
}

describe('the sources', () => {
  const files = [...sourceFiles('src'), ...sourceFiles('routes')];

  it('are found', () => {
    assert.ok(files.includes('src/config.ts') && files.includes('src/model/table.ts'));
  });

  it('keep to the rules of who may import whom', () => {
    assert.deepEqual(
      files.flatMap((path) => violationsOf(path, readFileSync(path, 'utf8'))),
      [],
    );
  });

  it('use all that the rules grant', () => {
    const sources = new Map(files.map((path) => [path, readFileSync(path, 'utf8')]));
    assert.deepEqual(unusedGrants(sources), []);
    const without = new Map([...sources].filter(([path]) => path !== 'src/version.ts'));
    assert.deepEqual(unusedGrants(without), ['src/version.ts is not there']);
    assert.deepEqual(
      unusedGrants(new Map([...sources, ['src/cli.ts', "import './config.ts';\nimport './commands/x.ts';"]])),
      ['src/cli.ts does not import node:util'],
    );
  });
});

describe('the rules', () => {
  const planted: readonly [string, string, string][] = [
    ['src/model/a.ts', "import { x } from '../util/x.ts';", 'src/model may not import ../util/x.ts'],
    ['src/model/a.ts', "import { readFileSync } from 'node:fs';", 'src/model may not import node:fs'],
    ['src/guard/a.ts', "import { x } from '../ddl/x.ts';", 'src/guard may not import ../ddl/x.ts'],
    ['src/guard/deep/a.ts', "import { x } from '../../ddl/x.ts';", 'src/guard may not import ../../ddl/x.ts'],
    [
      'src/protocol/a.ts',
      "import { x } from 'node:fs/promises';",
      'src/protocol may not import node:fs/promises',
    ],
    ['src/protocol/a.ts', "import { x } from 'fs';", 'src/protocol may not import fs'],
    ['src/ddl/a.ts', "import * as d from '@duckdb/node-api';", 'src/ddl may not import @duckdb/node-api'],
    [
      'src/sink/a.ts',
      "import d from '@duckdb/node-api/lib/x';",
      'src/sink may not import @duckdb/node-api/lib/x',
    ],
    [
      'src/sink/discard/a.ts',
      "import '../duckdb/open.ts';",
      'src/sink/discard may not import ../duckdb/open.ts',
    ],
    ['src/sink/duckdb/a.ts', "import { x } from '../x.ts';", 'src/sink/duckdb may not import ../x.ts'],
    ['src/http/a.ts', "import { Counter } from 'prom-client';", 'src/http may not import prom-client'],
    ['src/util/a.ts', "import { LRUCache } from 'lru-cache';", 'src/util may not import lru-cache'],
    ['src/app.ts', "import Bottleneck from 'bottleneck';", 'src/app may not import bottleneck'],
    ['src/app.ts', "import { parse } from 'yaml';", 'src/app may not import yaml'],
    ['src/ingest.ts', "import Fastify from 'fastify';", 'src/ingest may not import fastify'],
    ['src/ingest.ts', "import { x } from './guard/x.ts';", 'src/ingest may not import ./guard/x.ts'],
    ['routes/a.ts', "import { x } from '../src/guard/x.ts';", 'routes may not import ../src/guard/x.ts'],
    [
      'routes/a.ts',
      "import { x } from '../test/helpers/x.ts';",
      'routes may not import ../test/helpers/x.ts',
    ],
    ['src/main.ts', "import { x } from './sink/x.ts';", 'src/main.ts may not import ./sink/x.ts'],
    ['src/model/a.ts', "import {\n  x,\n  y,\n} from '../ddl/x.ts';", 'src/model may not import ../ddl/x.ts'],
    ['src/model/a.ts', "import type { X } from '../ddl/x.ts';", 'src/model may not import ../ddl/x.ts'],
    ['src/model/a.ts', "export { x } from '../ddl/x.ts';", 'src/model may not import ../ddl/x.ts'],
    ['src/model/a.ts', "export * from '../ddl/x.ts';", 'src/model may not import ../ddl/x.ts'],
    ['src/model/a.ts', "const x = await import('../ddl/x.ts');", 'src/model may not import ../ddl/x.ts'],
    ['src/model/a.ts', 'const x = await import(name);', 'may not use import() of a computed name'],
    ['src/ddl/a.ts', "const x = require('yaml');", 'may not use require'],
    ['src/ddl/a.ts', 'const x = process.env.HOME;', 'may not use process.env'],
    ['src/app.ts', 'process.exit(1);', 'may not use process.exit'],
    ['src/guard/a.ts', 'setTimeout(f, 1);', 'may not use the real clock (there is model/clock.ts)'],
    ['src/ddl/a.ts', 'const x = Date.now();', 'may not use the real clock (there is model/clock.ts)'],
    ['src/ddl/a.ts', "import { Etcd3 } from 'etcd3';", 'may not use etcd3 (only the etcd store may)'],
    ['src/model/a.ts', 'const x = 1;\n'.repeat(301), 'has 301 lines, more than 300'],
    ['src/extra/a.ts', '', 'src/extra is not in the table of test/helpers/architecture.ts'],
    ['src/extra.ts', '', 'src/extra.ts is not in the table of test/helpers/architecture.ts'],
  ];
  for (const [path, source, expected] of planted) {
    it(`catch in ${path}: ${source.split('\n', 1)[0]} (${expected})`, () => {
      assert.deepEqual(violationsOf(path, source), [`${path}: ${expected}`]);
    });
  }

  const harmless: readonly [string, string][] = [
    ['src/guard/a.ts', "import { x } from './x.ts';\nimport { y } from '../model/y.ts';"],
    ['src/guard/deep/a.ts', "import { x } from '../x.ts';"],
    ['src/config/a.ts', "import { x } from '../config.ts';\nprocess.env.HOME;"],
    ['src/config.ts', "import { parse } from 'yaml';"],
    ['src/sink/duckdb/a.ts', "import { x } from '@duckdb/node-api';\nimport { y } from '../../util/y.ts';"],
    ['src/util/clock.ts', 'const x = Date.now();'],
    ['src/app.ts', "import { x } from '../routes/x.ts';\nimport { y } from './sink/duckdb/open.ts';"],
    ['src/model/a.ts', "/**\n * import { x } from '../ddl/x.ts'; process.env\n */\n// process.exit"],
    ['src/model/a.ts', 'const x = 1;\n'.repeat(300)],
  ];
  for (const [path, source] of harmless) {
    it(`allow in ${path}: ${source.split('\n', 1)[0]}`, () =>
      assert.deepEqual(violationsOf(path, source), []));
  }
});

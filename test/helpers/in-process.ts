/** A whole gateway in this process, on a real DuckDB in memory, whose DDL can be made to fail. */
import type { TestContext } from 'node:test';
import { buildApp } from '../../src/app.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import type { DdlExecutor, DdlResult, TableSpec } from '../../src/model/sink.ts';
import { openConfigured } from '../../src/open-sink.ts';

/** How creating a table fails, or undefined to let it happen. */
export type Fault = (table: string) => DdlResult | undefined;

/** What a test sees of the gateway. */
export interface InProcess {
  readonly url: string;
  /** Names of the tables whose creation was tried, in order. */
  readonly creates: readonly string[];
}

const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {
  // Tests look at answers and metrics.
}

/** The configuration with these options, given as environment variables. */
export function testConfig(env: Readonly<Record<string, string>> = {}): Config {
  const loaded = loadConfig({ env: { SLUICE_LISTEN_PORT: '0', SLUICE_DUCKDB_PATH: ':memory:', ...env } });
  if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

/** Starts a gateway that is closed when the test ends. */
export async function startInProcess(
  t: TestContext,
  fault: Fault,
  env: Readonly<Record<string, string>> = {},
): Promise<InProcess> {
  const creates: string[] = [];
  const app = await buildApp(testConfig(env), SILENT, async (config, deps) => {
    const opened = await openConfigured(config, deps);
    const ddl: DdlExecutor = { ...opened.sink.ddl, createTable };
    return { ...opened, sink: { ...opened.sink, ddl } };

    async function createTable(spec: TableSpec, signal: AbortSignal): Promise<DdlResult> {
      const { table } = spec.id;
      creates.push(table);
      return fault(table) ?? (await opened.sink.ddl.createTable(spec, signal));
    }
  });
  t.after(() => app.close());
  return { url: await app.listen(), creates };
}

/** A whole gateway in this process, on a real DuckDB in memory, whose DDL and writes can be made to fail. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type App, buildApp } from '../../src/app.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import type { DdlExecutor, DdlResult, TableSpec, WriteError, Writer } from '../../src/model/sink.ts';
import { openConfigured } from '../../src/open-sink.ts';
import { temporaryFolder } from './gateway.ts';

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

/** Starts a gateway that is closed when the test ends. `failWrite`: why a flush fails, asked before each. */
export async function startInProcess(
  t: TestContext,
  fault: Fault,
  env: Readonly<Record<string, string>> = {},
  failWrite: () => WriteError | undefined = () => undefined,
): Promise<InProcess> {
  const creates: string[] = [];
  let app: App | undefined;
  // Before the folder goes, for what is registered first is called first.
  t.after(() => app?.close());
  const folder = temporaryFolder(t);
  app = await buildApp(
    testConfig({
      SLUICE_SPOOL_PATH: join(folder, 'spool'),
      SLUICE_DEAD_LETTER_PATH: join(folder, 'dead-letter'),
      ...env,
    }),
    SILENT,
    {
      openSink: async (config, deps) => {
        const opened = await openConfigured(config, deps);
        const ddl: DdlExecutor = { ...opened.sink.ddl, createTable };
        const writer: Writer = {
          async write(batches, signal) {
            const failure = failWrite();
            if (failure !== undefined) throw failure;
            await opened.sink.writer.write(batches, signal);
          },
        };
        return { ...opened, sink: { ...opened.sink, ddl, writer } };

        async function createTable(spec: TableSpec, signal: AbortSignal): Promise<DdlResult> {
          const { table } = spec.id;
          creates.push(table);
          return fault(table) ?? (await opened.sink.ddl.createTable(spec, signal));
        }
      },
    },
  );
  return { url: await app.listen(), creates };
}

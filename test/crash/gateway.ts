/**
 * The program of a gateway in crash tests: the real app on a real DuckDB file and a real spool, with the steps of
 * `kill-points.ts` and a database whose DDL fails now and then. Options come by SLUICE_ variables as always; the test's own
 * by CRASH_POINT, CRASH_PASSES and CRASH_SEED. Without CRASH_SEED nothing fails.
 */
import { pino } from 'pino';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import type { DdlExecutor } from '../../src/model/sink.ts';
import { openConfigured } from '../../src/open-sink.ts';
import { openConfiguredSpool } from '../../src/open-spool.ts';
import type { Random } from '../../src/util/backoff.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { type CrashPoint, type CrashSwitch, withDiskSteps, withWriterSteps } from './kill-points.ts';

const { CRASH_POINT, CRASH_PASSES = '1', CRASH_SEED } = process.env;

const loaded = loadConfig({ env: process.env });
if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'));
const crash: CrashSwitch = { point: CRASH_POINT as CrashPoint | undefined, passes: Number(CRASH_PASSES) };
const random = CRASH_SEED === undefined ? () => 0.5 : seededRandom(Number(CRASH_SEED));

const logger = pino({ name: 'crash', level: loaded.config.log.level });
const app = await buildApp(loaded.config, logger, {
  openSink: async (...given) => {
    const { sink, sql } = await openConfigured(...given);
    const writer = withWriterSteps(sink.writer, crash, random);
    return {
      sql,
      sink: { ...sink, writer, ddl: unreliable(sink.ddl, random) },
    };
  },
  openSpool: async (...given) => {
    const spool = await openConfiguredSpool(...given);
    return spool && { ...spool, disk: withDiskSteps(spool.disk, crash, random) };
  },
});
process.once('SIGTERM', () => void stop());
logger.info({ url: await app.listen() }, 'listening');

async function stop(): Promise<void> {
  const { failed } = await app.close();
  logger.info({ failed }, 'stopped');
  process.exitCode = failed.length;
}

/** Every third create fails at first, so that rows wait for their table. */
function unreliable(ddl: DdlExecutor, chance: Random): DdlExecutor {
  return {
    ...ddl,
    createTable: (spec, signal) =>
      chance() < 0.35
        ? Promise.resolve({ kind: 'transient', code: 'BUSY', message: 'the database is busy' })
        : ddl.createTable(spec, signal),
  };
}

/**
 * The program of a gateway process in cluster tests: the real app with its real store, on the database of
 * `fake-database.ts`, and with the kill points of `kill-points.ts`. Options come by SLUICE_ variables as always; the test's
 * own by CLUSTER_ID, CLUSTER_DATABASE and CLUSTER_KILL_AT. A message `{ killAt }` from the parent arms a kill point later.
 */
import { pino } from 'pino';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { openConfiguredStore } from '../../src/open-store.ts';
import { type KillPoint, type KillSwitch, withDdlKillPoints, withKillPoints } from './kill-points.ts';
import { createRemoteSink } from './remote-sink.ts';

const { CLUSTER_ID: id = 'gateway', CLUSTER_DATABASE: database = '', CLUSTER_KILL_AT: killAt } = process.env;

const loaded = loadConfig({ env: process.env });
if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'));
const kill: KillSwitch = { armed: killAt as KillPoint | undefined };
process.on('message', (message: { readonly killAt: KillPoint }) => {
  kill.armed = message.killAt;
  process.send?.({ armed: kill.armed });
});

const logger = pino({ name: id, level: loaded.config.log.level });
const app = await buildApp(loaded.config, logger, {
  openSink: () => {
    const sink = createRemoteSink(database, id);
    return Promise.resolve({ sink: { ...sink, ddl: withDdlKillPoints(sink.ddl, kill) }, sql: undefined });
  },
  openStore: async (...given) => withKillPoints(await openConfiguredStore(...given), kill),
});
process.once('SIGTERM', () => {
  void app.close().then(({ failed }) => {
    logger.info({ failed }, 'stopped');
    process.exit(failed.length);
  });
});
logger.info({ url: await app.listen() }, 'listening');

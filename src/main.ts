#!/usr/bin/env node
/** Entry: arguments, configuration, the app, signals, exit code. The only place that ends the process. */
import { pino } from 'pino';
import { type App, buildApp } from './app.ts';
import { readCommandLine } from './cli.ts';
import type { Config } from './config.ts';
import { GatewayError } from './errors.ts';
import { packageVersion } from './version.ts';

const FAILED = 1;
const BAD_CONFIG = 2;

const action = readCommandLine(process.argv.slice(2), packageVersion());
if (action.kind === 'run') await run(action.config);
else {
  process.exitCode = action.exitCode;
  (action.exitCode === 0 ? process.stdout : process.stderr).write(action.text);
}

async function run(config: Config): Promise<void> {
  const logger = pino({ name: 'sluice', level: config.log.level });
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'unforeseen error');
    process.exit(FAILED);
  });
  let app: App;
  try {
    app = await buildApp(config, logger);
  } catch (error) {
    const badConfig = error instanceof GatewayError && error.code === 'config_invalid';
    logger.fatal(badConfig ? { reason: error.message } : { err: error }, 'could not start');
    process.exitCode = badConfig ? BAD_CONFIG : FAILED;
    return;
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(app, signal));
  try {
    const url = await app.listen();
    logger.info({ url, sink: config.sink.kind, version: packageVersion() }, 'listening');
  } catch (error) {
    logger.fatal({ err: error }, 'could not listen');
    process.exitCode = FAILED;
    await app.close();
  }

  let stopping = false;
  function stop(running: App, signal: NodeJS.Signals): void {
    if (stopping) {
      logger.warn({ signal }, 'second signal: ending at once');
      process.exit(FAILED);
    }
    stopping = true;
    logger.info({ signal }, 'stopping');
    void finish(running);
  }

  async function finish(running: App): Promise<void> {
    const { failed } = await running.close();
    if (failed.length > 0) process.exitCode = FAILED;
    logger.info({ failed }, 'stopped');
  }
}

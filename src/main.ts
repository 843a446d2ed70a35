#!/usr/bin/env node
/** Entry: arguments, configuration, the app, signals, exit code. The only place that ends the process. */
import { once } from 'node:events';
import { type Logger, pino } from 'pino';
import { type App, buildApp } from './app.ts';
import { readCommandLine } from './cli.ts';
import type { Config } from './config.ts';
import { GatewayError } from './errors.ts';
import { packageVersion } from './version.ts';

const FAILED = 1;
const BAD_CONFIG = 2;

/** A signal that comes again so soon was asked for once: npm and tsx pass on what the terminal sends to all. */
const ECHO_MS = 500;

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
  const stop = stopSignal(logger);
  logger.info({ sink: config.sink.kind, version: packageVersion() }, 'starting');
  let app: App;
  try {
    app = await buildApp(config, logger);
  } catch (error) {
    const badConfig = error instanceof GatewayError && error.code === 'config_invalid';
    logger.fatal(badConfig ? { reason: error.message } : { err: error }, 'could not start');
    process.exitCode = badConfig ? BAD_CONFIG : FAILED;
    return;
  }
  await serve(app, stop, logger);
  const { failed } = await app.close();
  if (failed.length > 0) process.exitCode = FAILED;
  logger.info({ failed }, 'stopped');
}

/** Aborted by the first signal, also by one that comes while starting; the second ends the process at once. */
function stopSignal(logger: Logger): AbortSignal {
  const stop = new AbortController();
  let first: { readonly signal: NodeJS.Signals; readonly atMs: number } | undefined;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      const atMs = performance.now();
      if (first === undefined) {
        first = { signal, atMs };
        logger.info({ signal }, 'stopping');
        stop.abort();
      } else if (signal !== first.signal || atMs - first.atMs > ECHO_MS) {
        logger.warn({ signal }, 'second signal: ending at once');
        process.exit(FAILED);
      }
    });
  }
  return stop.signal;
}

/** Serves until asked to stop, or not at all when that was asked before or the address can't be had. */
async function serve(app: App, stop: AbortSignal, logger: Logger): Promise<void> {
  if (stop.aborted) return;
  try {
    logger.info({ url: await app.listen() }, 'listening');
  } catch (error) {
    logger.fatal({ err: error }, 'could not listen');
    process.exitCode = FAILED;
    return;
  }
  if (!stop.aborted) await once(stop, 'abort');
}

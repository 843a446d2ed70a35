#!/usr/bin/env node
/** Entry: arguments, configuration, the app, signals, exit code. The only place that ends the process. */
import { once } from 'node:events';
import { type Logger, pino } from 'pino';
import { type App, buildApp } from './app.ts';
import { readCommandLine } from './cli.ts';
import { type AdminCommand, runAdmin } from './commands/admin.ts';
import { type DeadLetterCommand, runDeadLetter } from './commands/dead-letter.ts';
import type { Config } from './config.ts';
import { GatewayError } from './errors.ts';
import { stopSignal } from './stop-signal.ts';
import { createSystemClock } from './util/clock.ts';
import { packageVersion } from './version.ts';

const FAILED = 1;
const BAD_CONFIG = 2;

const action = readCommandLine(process.argv.slice(2), packageVersion());
if (action.kind === 'run') await run(action.config);
else if (action.kind === 'command') process.exitCode = await runCommand(action.command);
else {
  process.exitCode = action.exitCode;
  (action.exitCode === 0 ? process.stdout : process.stderr).write(action.text);
}

/** Runs a command until it ends or is interrupted; a second signal ends the process as signals do. */
async function runCommand(command: DeadLetterCommand | AdminCommand): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  // Whoever read the output (head, less) has enough.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => stop.abort());
  try {
    const terminal = { out: printTo(process.stdout, stop.signal), err: printTo(process.stderr, stop.signal) };
    const deps = { terminal, clock: createSystemClock(), signal: stop.signal };
    return await (command.kind === 'admin' ? runAdmin(command, deps) : runDeadLetter(command, deps));
  } catch (error) {
    if (!stop.signal.aborted) process.stderr.write(`sluice: ${messageOf(error)}\n`);
    return FAILED;
  }
}

function printTo(stream: NodeJS.WriteStream, signal: AbortSignal): (text: string) => Promise<void> {
  return async (text) => {
    if (!stream.write(text) && !signal.aborted)
      await once(stream, 'drain', { signal }).catch(() => undefined);
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function run(config: Config): Promise<void> {
  const logger = pino({ name: 'sluice', level: config.log.level });
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'unforeseen error');
    process.exit(FAILED);
  });
  const end = (): never => process.exit(FAILED);
  const stop = stopSignal(process, { clock: createSystemClock(), logger, end });
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
  process.on('SIGHUP', () => app.reload());
  await serve(app, stop, logger);
  const { failed } = await app.close();
  logger.info({ failed }, 'stopped');
  // What could not be closed may keep the process for ever.
  if (failed.length > 0) process.exit(FAILED);
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

/**
 * Whole lines of a telnet connection to ingest. Nobody can be told what became of a point, so one that is refused or
 * can't be kept goes to the dead letter (ingest sees to it); while the gateway has too much to do the lines wait here,
 * and their connection is not read from.
 */
import { GatewayError } from '../errors.ts';
import type { Principal } from '../model/access.ts';
import type { PointBatch } from '../model/point-batch.ts';
import type { TelnetDeps, TelnetOptions } from './telnet.ts';

/** Who sends. */
export interface TelnetSender {
  readonly principal: Principal;
  readonly peer: string;
}

/** What is to be answered. */
export interface TakenLines {
  readonly commands: readonly string[];
  /** Reasons of the first lines that were refused. */
  readonly refused: readonly string[];
  /** Refused lines beyond those. */
  readonly untold: number;
}

/** Between two tries while too many bytes are in flight. */
const RETRY_MS = 100;
const MAX_REASONS = 20;
const NOTHING: TakenLines = { commands: [], refused: [], untold: 0 };

/** Takes the lines; answers when they are stored, parked or in the dead letter. */
export async function takeLines(
  lines: Buffer,
  sender: TelnetSender,
  options: TelnetOptions,
  deps: TelnetDeps,
): Promise<TakenLines> {
  const lease = deps.lease();
  try {
    while (!fits(() => lease.add(lines.length))) await deps.clock.sleep(RETRY_MS, deps.closing);
    const batch = deps.ingest.acquire(lines, options.database);
    try {
      return await submit(batch, sender, options, deps);
    } finally {
      deps.ingest.release(batch);
    }
  } catch (error) {
    if (!deps.closing.aborted && !(error instanceof GatewayError && error.code === 'closed')) throw error;
    return NOTHING;
  } finally {
    lease.release();
  }
}

async function submit(
  batch: PointBatch,
  { principal, peer }: TelnetSender,
  { database }: TelnetOptions,
  { parser, ingest, metrics, closing }: TelnetDeps,
): Promise<TakenLines> {
  const parsed = parser.parse(batch);
  const commands = parsed.commands.map(({ offset, length }) => textOf(batch, offset, length));
  const refused = parsed.errors.slice(0, MAX_REASONS).map(({ reason }) => reason);
  if (parsed.failed > 0) metrics.points('telnet', 'malformed', parsed.failed);
  let all = parsed.failed;
  if (parsed.good > 0) {
    const result = await ingest.submit(batch, {
      source: 'opentsdb',
      askedBy: `telnet ${peer}`,
      tenant: principal.tenant,
      mayCreate: principal.may('create', database),
      sync: false,
      tellable: false,
      signal: closing,
    });
    for (const outcome of ['stored', 'parked', 'rejected', 'deferred'] as const) {
      if (result[outcome] > 0) metrics.points('telnet', outcome, result[outcome]);
    }
    all += result.rejected;
    for (const { message } of result.refusals.slice(0, MAX_REASONS))
      refused.push(`illegal argument: ${message}`);
  }
  const told = refused.slice(0, MAX_REASONS);
  return { commands, refused: told, untold: all - told.length };
}

function textOf({ body }: PointBatch, offset: number, length: number): string {
  return Buffer.from(body.buffer, body.byteOffset + offset, length).toString('utf8');
}

function fits(add: () => void): boolean {
  try {
    add();
    return true;
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'overload') return false;
    throw error;
  }
}

/** The ingest path over fakes, and requests of lines for it. */
import assert from 'node:assert/strict';
import { createIngest } from '../../src/ingest.ts';
import { createBatchPool } from '../../src/model/batch-pool.ts';
import type { Ingest, IngestContext, IngestResult } from '../../src/model/ingest.ts';
import type { PointBatch, TableGroup } from '../../src/model/point-batch.ts';
import type { ValueRules } from '../../src/model/sink.ts';
import type { DeadLetter, DeadRows } from '../../src/model/spool.ts';
import { createLineParser } from '../../src/protocol/line-protocol.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { createFlushQueue, type FlushQueue } from '../../src/sink/flush-queue.ts';
import { FakeClock } from './fake-clock.ts';
import { ADMIT, type all, FakeGuard } from './fake-guard.ts';
import { FakeLog, FakeParking } from './fake-parking.ts';
import { FakeWriter } from './fake-writer.ts';
import { SILENT } from './guard-rig.ts';
import { DEFAULT_LIMITS } from './parsers.ts';

/** How the ingest path is made; by default it parks nothing, and the database acknowledges. */
export interface IngestSetup {
  readonly maxPendingBytes?: number;
  readonly parks?: boolean;
  readonly ack?: 'log' | 'database';
  readonly values?: ValueRules;
}

type Answers = Readonly<Record<string, (group: TableGroup) => ReturnType<typeof all>>>;

/** What a test sees. */
export interface IngestRig {
  readonly clock: FakeClock;
  readonly guard: FakeGuard;
  /** Stores everything until it is told otherwise. */
  readonly writer: FakeWriter;
  readonly flush: FlushQueue;
  readonly parking: FakeParking;
  readonly log: FakeLog;
  /** Copies of refused rows. */
  readonly dead: readonly DeadRows[];
  readonly ingest: Ingest;
  readonly counted: readonly string[];
  /** Who was refused a create of what. */
  readonly blamed: readonly string[];
  /** A batch with these lines; they are without their newline. */
  readonly parse: (...lines: readonly string[]) => PointBatch;
  /** What a request with these lines comes to. */
  readonly send: (...lines: readonly string[]) => Promise<IngestResult>;
  readonly submit: (lines: readonly string[], options: Partial<IngestContext>) => Promise<IngestResult>;
  readonly unknown: (...tables: readonly string[]) => void;
  /** Answers by table; tables not named are admitted. */
  readonly answerBy: (answers: Answers) => void;
}

/** A parser with a dictionary of its own. */
export function createTestParser(): ReturnType<typeof createLineParser> {
  const dictionary = new SeriesDictionary({ maxSeries: 10_000, maxBytes: 2 ** 24 }, 1);
  return createLineParser(dictionary, { limits: { ...DEFAULT_LIMITS, tablesPerRequest: 100_000 } });
}

/** Who sends. */
export function contextOf(signal = new AbortController().signal): IngestContext {
  return { source: 'influx', askedBy: 'a test', sync: false, signal };
}

/** Everything was stored. */
export function stored(rows: number): IngestResult {
  return { stored: rows, parked: 0, rejected: 0, refusals: [], deferred: 0, deferral: undefined };
}

/** A database that can't hold these rows of any batch. */
export function impossible(...rows: readonly number[]): ValueRules {
  return {
    checkRows: (batch, refuse) => {
      for (const row of rows) if (row < batch.rows && batch.skip[row] === 0) refuse(row, 'no');
    },
  };
}

const shared = createTestParser();

/** Makes one. */
export function createIngestRig(setup: IngestSetup = {}): IngestRig {
  const guard = new FakeGuard();
  const counted: string[] = [];
  const blamed: string[] = [];
  const dead: DeadRows[] = [];
  const parts = {
    ...writing(setup.maxPendingBytes ?? 2 ** 20),
    parking: new FakeParking(),
    log: new FakeLog(),
  };
  const deadLetter: DeadLetter = {
    add: (rows) => Promise.resolve(void dead.push(rows)),
    addRaw: () => Promise.reject(new Error('not asked for')),
  };
  const ingest = createIngest({
    ...parts,
    guard,
    parks: setup.parks ?? false,
    ack: setup.ack ?? 'database',
    values: setup.values,
    drainTimeoutMs: 30_000,
    batches: createBatchPool(),
    rejects: deadLetter,
    untold: deadLetter,
    random: () => 0.5,
    refusedCreates: {
      note: (tables, { askedBy }) => blamed.push(...tables.map(({ name }) => `${askedBy}: ${name}`)),
    },
    metrics: {
      rowsRejected: (reason, rows) => counted.push(`rejected ${reason} ${rows}`),
      rowsDeferred: (reason, rows) => counted.push(`deferred ${reason} ${rows}`),
    },
  });
  const parse: IngestRig['parse'] = (...lines) => {
    const batch = ingest.acquire(Buffer.from(`${lines.join('\n')}\n`), 'db');
    shared.parse(batch, 'ns', 1);
    assert.equal(batch.rows, lines.length);
    return batch;
  };
  const submit: IngestRig['submit'] = async (lines, options) => {
    const batch = parse(...lines);
    try {
      return await ingest.submit(batch, { ...contextOf(), ...options });
    } finally {
      ingest.release(batch);
    }
  };
  return {
    ...parts,
    guard,
    dead,
    ingest,
    counted,
    blamed,
    parse,
    submit,
    send: (...lines) => submit(lines, {}),
    unknown: (...tables) => {
      for (const table of tables) guard.unknown.add(table);
    },
    answerBy: (answers) => {
      guard.answer = (group) => answers[group.table.name]?.(group) ?? ADMIT;
    },
  };
}

function writing(maxPendingBytes: number): Pick<IngestRig, 'clock' | 'writer' | 'flush'> {
  const clock = new FakeClock();
  const writer = new FakeWriter();
  writer.onWrite = () => 'stored';
  const ignore = (): void => undefined;
  const metrics = { flushed: ignore, flushFailed: ignore, flushRefused: ignore };
  const sampler = { sample: ignore };
  const options = { maxPendingBytes, timeoutMs: 60_000 };
  return {
    clock,
    writer,
    flush: createFlushQueue(options, { writer, clock, logger: SILENT, sampler, metrics }),
  };
}

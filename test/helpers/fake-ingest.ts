/**
 * An ingest that answers what a test tells it to, and remembers what it was given. It keeps the contract: batches
 * are lent and counted, and may not be given back while `submit` is using them.
 */

import type { Ingest, IngestContext, IngestResult } from '../../src/model/ingest.ts';
import { PointBatch } from '../../src/model/point-batch.ts';
import { type ReadRow, readRows } from './parsers.ts';

/** One call of `submit`. */
export interface Submission {
  readonly database: string;
  readonly rows: readonly ReadRow[];
  readonly context: IngestContext;
}

/** Decides a submission's outcome; `settled` results may be promises that a test holds. */
export type Script = (submission: Submission) => IngestResult | Promise<IngestResult>;

/** See the module comment. */
export interface FakeIngest extends Ingest {
  readonly submissions: readonly Submission[];
  /** Batches lent and not given back. */
  readonly lent: number;
  /** Replaces what happens to submissions from now on. */
  script: Script;
}

/** Everything is stored. */
export const storeAll: Script = ({ rows }) => result({ stored: rows.length });

/** A result with what is named; the rest is zero. */
export function result(parts: Partial<IngestResult>): IngestResult {
  return { stored: 0, parked: 0, rejected: 0, refusals: [], deferred: 0, deferral: undefined, ...parts };
}

/** All rows are held back; `retryAfterMs` as given. */
export function deferAll(message: string, retryAfterMs: number): Script {
  const deferral = { reason: 'ddl_pending', message, retryAfterMs } as const;
  return ({ rows }) => result({ deferred: rows.length, deferral });
}

/** The first row is refused, the others are stored. */
export function rejectFirst(message: string): Script {
  return ({ rows }) => {
    const refusals = [{ offset: rows[0]?.offset ?? 0, reason: 'type_conflict', message } as const];
    return result({ stored: rows.length - 1, rejected: 1, refusals });
  };
}

/** Makes one that stores everything until its script is changed. */
export function createFakeIngest(): FakeIngest {
  const submissions: Submission[] = [];
  const inUse = new Set<PointBatch>();
  let lent = 0;
  const fake: FakeIngest = {
    script: storeAll,
    submissions,
    get lent() {
      return lent;
    },
    acquire(body, database) {
      const batch = new PointBatch();
      batch.reset(body, database);
      lent++;
      return batch;
    },
    release(batch) {
      if (inUse.has(batch)) throw new Error('batch given back while submit uses it');
      lent--;
    },
    async submit(batch, context) {
      const submission = { database: batch.database, rows: readRows(batch), context };
      submissions.push(submission);
      inUse.add(batch);
      try {
        return await fake.script(submission);
      } finally {
        inUse.delete(batch);
      }
    },
  };
  return fake;
}

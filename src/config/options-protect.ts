/** Options of the watermarks: what the gateway and the control plane may use before they are relieved. */
import { bytes, integer, milliseconds } from './option.ts';

const TIB = 1024 ** 4;

const percent = { min: 0, max: 100, zero: 'switches the mark off' };

/** See docs/configuration.md. */
export const PROTECT_OPTIONS = {
  protect: {
    sampleMs: milliseconds({
      default: 1_000,
      min: 50,
      max: 60_000,
      doc: 'How often the watermarks are compared with what is in use.',
    }),
    dwellMs: milliseconds({
      default: 5_000,
      min: 0,
      max: 600_000,
      zero: 'clears a mark at the first sample below its lower mark',
      doc: 'How long a tripped mark stays tripped at least. Marks clear a tenth below where they trip.',
    }),
    heapPercent: integer({
      ...percent,
      default: 85,
      doc: "Share of V8's heap limit (`--max-old-space-size`) at which writes get 503.",
    }),
    rssBytes: bytes({
      default: 0,
      min: 0,
      max: 64 * TIB,
      zero: 'takes four fifths of what the machine or its container has',
      doc: 'Memory of the whole process at which writes get 503.',
    }),
    eventLoopDelayMs: milliseconds({
      default: 1_000,
      min: 0,
      max: 60_000,
      zero: 'switches the mark off',
      doc: 'Mean delay of the event loop, from sample to sample, at which writes get 503.',
    }),
    inflightPercent: integer({
      ...percent,
      default: 90,
      doc: 'Share of `limits.inflightBytes` at which writes get 503 before their body is read.',
    }),
    spoolPercent: integer({
      ...percent,
      default: 95,
      doc:
        'Share of `spool.maxBytes` at which writes get 503 before their body is read, where the log acknowledges ' +
        '(`flush.ack`); else it is only shown. `spool.minFreeBytes` has a mark of the same kind, a tenth above it.',
    }),
    openTasksPercent: integer({
      ...percent,
      default: 95,
      doc: 'Share of `ddl.maxOpenTasks` at which no further tables are asked for; known tables flow.',
    }),
    storePercent: integer({
      ...percent,
      default: 70,
      doc: "Share of etcd's quota at which no further tables are asked for; known tables flow. An alarm counts as 100.",
    }),
  },
};

/**
 * Sends all statements of a flush without waiting for an answer in between and one Sync at the end, so they are one
 * transaction and one round trip, and the commit has happened when the server is ready again. The driver knows no
 * such thing, but lets anything that can `submit` itself use its connection.
 */
import type pg from 'pg';
import type { PointBatch } from '../../model/point-batch.ts';
import { encodeSheet } from './encode.ts';
import type { Sheet } from './sheet.ts';
import { insertSql, type PreparedStatements } from './statements.ts';
import { Wire } from './wire.ts';

/** Bytes that are given to the socket at once, before it is asked whether it wants more. */
const CHUNK_BYTES = 256 * 1024;

/** A flush that was not stored. */
export class PipelineError extends Error {
  override readonly name = 'PipelineError';
  /** The sheet whose statement failed; undefined when it was none of them. */
  readonly sheet: Sheet | undefined;

  constructor(sheet: Sheet | undefined, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.sheet = sheet;
  }
}

/** Stores the sheets in one transaction, in their order. @throws PipelineError */
export function sendSheets(
  client: pg.ClientBase,
  statements: PreparedStatements,
  sheets: readonly Sheet[],
  batches: readonly PointBatch[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query(new Pipeline({ statements, sheets, batches, resolve, reject }));
  });
}

interface PipelineOptions {
  readonly statements: PreparedStatements;
  readonly sheets: readonly Sheet[];
  readonly batches: readonly PointBatch[];
  readonly resolve: () => void;
  readonly reject: (error: PipelineError) => void;
}

/** A `Submittable` of the driver, which calls the methods that begin with `handle`. */
class Pipeline {
  private readonly options: PipelineOptions;
  private readonly wire = new Wire();
  /** Statements sent to be prepared, in their order; so many of them are. */
  private readonly preparing: { readonly key: string; readonly name: string }[] = [];
  private readonly preparingKeys = new Map<string, string>();
  private executed = 0;
  private submitted = false;
  private error: unknown;
  private settle: () => void = () => undefined;

  constructor(options: PipelineOptions) {
    this.options = options;
  }

  submit(connection: pg.Connection): null {
    this.submitted = true;
    let parsed = 0;
    const onParsed = (): void => {
      const prepared = this.preparing[parsed++];
      if (prepared !== undefined) this.options.statements.add(prepared.key, prepared.name);
    };
    const onEnd = (): void => {
      this.error ??= new Error('the connection ended');
      this.settle();
    };
    this.settle = () => {
      connection.off('parseComplete', onParsed);
      connection.off('readyForQuery', this.settle);
      connection.off('end', onEnd);
      if (this.error === undefined) this.options.resolve();
      else this.options.reject(new PipelineError(this.failedSheet(), this.error));
    };
    connection.on('parseComplete', onParsed);
    connection.on('readyForQuery', this.settle);
    connection.on('end', onEnd);
    this.send(connection.stream).catch((error: unknown) => {
      this.error ??= error;
      connection.stream.destroy();
    });
    return null;
  }

  /**
   * The server reads on after an error, but does nothing until the Sync. When the driver finds that the connection has
   * ended, it may also come without `submit`.
   */
  handleError(error: unknown): void {
    this.error ??= error;
    if (!this.submitted) this.options.reject(new PipelineError(undefined, error));
  }

  handleCommandComplete(): void {
    this.executed++;
  }

  // Nothing of this is asked for.
  handleReadyForQuery(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCopyInResponse(): void {}
  handleCopyData(): void {}

  private failedSheet(): Sheet | undefined {
    return this.options.sheets[this.executed];
  }

  private async send(stream: NodeJS.WritableStream): Promise<void> {
    const { wire } = this;
    const { sheets, batches, statements } = this.options;
    for (const name of statements.evict()) wire.close(name);
    for (const sheet of sheets) {
      if (this.error !== undefined) break;
      encodeSheet(wire, this.prepared(sheet), sheet, batches);
      if (wire.size >= CHUNK_BYTES && !stream.write(wire.take())) await drained(stream);
    }
    wire.sync();
    stream.write(wire.take());
  }

  private prepared(sheet: Sheet): string {
    const { key } = sheet;
    const known = this.options.statements.find(key) ?? this.preparingKeys.get(key);
    if (known !== undefined) return known;
    const name = this.options.statements.newName();
    this.preparing.push({ key, name });
    this.preparingKeys.set(key, name);
    this.wire.parse(name, insertSql(sheet));
    return name;
  }
}

/** Resolves when the stream wants more, or never will. */
function drained(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
  });
}

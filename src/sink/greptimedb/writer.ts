/**
 * Writes a flush by the Influx write route, gzipped: one request per database and time unit, more when they grow large.
 * GreptimeDB creates nothing on the way (`auto_create_table=false`), but then refuses all of a request for one table
 * that is missing; so whose fault a refusal is, is asked of its catalog, and told for the flush queue to send the rest
 * again. A request of several that was stored before another failed does no harm: the same rows replace it.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { ColumnSpec } from '../../model/column.ts';
import type { PointBatch, TableGroup } from '../../model/point-batch.ts';
import { WriteError, type WriteFailure, type Writer } from '../../model/sink.ts';
import { type TableId, tableKey } from '../../model/table.ts';
import { type Catalog, conflictOf, type Relation } from './catalog.ts';
import { failureClass, wordsOf } from './errors.ts';
import type { HttpClient } from './http.ts';
import type { TimeUnit } from './layout.ts';
import { isWhole, LineBody, writeRows } from './line-body.ts';
import { databaseParameter } from './names.ts';

/** What the writer works with. */
export interface WriterDeps {
  readonly http: HttpClient;
  readonly catalog: Catalog;
  /** Bytes of a request before compression after which another is begun. */
  readonly requestBytes: number;
}

const compress = promisify(gzip);
/** Time counts more than the last percent of size. */
const GZIP_LEVEL = 1;

/** A part of a flush. */
interface Piece {
  readonly batch: PointBatch;
  readonly group: TableGroup;
}

/** A request in the making. */
interface LineRequest {
  readonly database: string;
  readonly unit: TimeUnit;
  readonly body: LineBody;
}

/** Creates the writer; one call at a time. */
export function createWriter(deps: WriterDeps): Writer {
  return new LineWriter(deps);
}

class LineWriter implements Writer {
  readonly #deps: WriterDeps;
  /** The connection was lost: no rows are sent before the server is known to be there. */
  #doubtful = false;

  constructor(deps: WriterDeps) {
    this.#deps = deps;
  }

  async write(batches: readonly PointBatch[], signal: AbortSignal): Promise<void> {
    const pieces = piecesOf(batches);
    if (pieces.length === 0) return;
    await this.#prepare(pieces, signal);
    try {
      await this.#sendAll(pieces, signal);
    } catch (error) {
      const failure = await this.#failureOf(error, pieces, signal);
      this.#doubtful = failure.kind === 'ambiguous';
      throw new WriteError(failure, { cause: error });
    }
  }

  /** Nothing of the rows is sent here, so nothing is ambiguous. */
  async #prepare(pieces: readonly Piece[], signal: AbortSignal): Promise<void> {
    const { http, catalog } = this.#deps;
    let missing: readonly TableId[];
    try {
      if (this.#doubtful) await http.send({ method: 'GET', path: '/health', repeatable: true }, signal);
      this.#doubtful = false;
      // Tables that were not looked at yet: in what unit their time is must be known.
      const unknown = pieces.filter(({ group }) => catalog.unitOf(group.table.key) === undefined);
      missing = await this.#unfit(unknown, signal);
    } catch (error) {
      const kind = failureClass(error) === 'denied' ? 'denied' : 'transient';
      throw new WriteError({ kind, ...wordsOf(error) }, { cause: error });
    }
    if (missing.length > 0) throw new WriteError({ kind: 'missing', tables: missing });
  }

  async #sendAll(pieces: readonly Piece[], signal: AbortSignal): Promise<void> {
    const requests = new Map<string, LineRequest>();
    for (const { batch, group } of pieces) {
      const unit = this.#deps.catalog.unitOf(group.table.key) ?? 'ns';
      const key = `${unit} ${group.table.database}`;
      for (let row = group.firstRow; row >= 0; ) {
        const request = requests.get(key) ?? { database: group.table.database, unit, body: new LineBody() };
        row = writeRows(request.body, { batch, row, unit }, this.#deps.requestBytes);
        requests.set(key, request);
        if (request.body.length < this.#deps.requestBytes) continue;
        requests.delete(key);
        await this.#send(request, signal);
      }
    }
    for (const request of requests.values()) await this.#send(request, signal);
  }

  async #send({ database, unit, body }: LineRequest, signal: AbortSignal): Promise<void> {
    const query = new URLSearchParams({ db: databaseParameter(database), precision: unit });
    await this.#deps.http.send(
      {
        method: 'POST',
        path: `/v1/influxdb/write?${query.toString()}`,
        headers: {
          'content-type': 'text/plain; charset=utf-8',
          'content-encoding': 'gzip',
          'x-greptime-hints': 'auto_create_table=false',
        },
        body: await compress(body.bytes, { level: GZIP_LEVEL }),
        repeatable: true,
      },
      signal,
    );
  }

  /** The tables that are not there, or not as the pieces need them. */
  async #unfit(pieces: readonly Piece[], signal: AbortSignal): Promise<readonly TableId[]> {
    const ids = [...new Map(pieces.map((piece) => [piece.group.table.key, idOf(piece)])).values()];
    const relations = await this.#deps.catalog.describe(ids, signal);
    const found = new Map(ids.map((id, i) => [tableKey(id), relations[i]]));
    const bad = pieces.filter((piece) => !fits(found.get(piece.group.table.key), piece));
    return [...new Map(bad.map((piece) => [piece.group.table.key, idOf(piece)])).values()];
  }

  async #failureOf(error: unknown, pieces: readonly Piece[], signal: AbortSignal): Promise<WriteFailure> {
    const words = wordsOf(error);
    const found = failureClass(error);
    if (found === 'unclear') return { kind: 'ambiguous', ...words };
    if (found === 'denied') return { kind: 'denied', ...words };
    if (found !== 'missing' && found !== 'invalid') return { kind: 'transient', ...words };
    try {
      const missing = await this.#unfit(pieces, signal);
      if (missing.length > 0) return { kind: 'missing', tables: missing };
      const tables = await this.#culprits(pieces, signal);
      return { kind: 'transient', ...words, ...(tables.length > 0 && { tables }) };
    } catch (lookError) {
      return { kind: 'transient', ...wordsOf(lookError) };
    }
  }

  /** What was refused together is sent table by table, to learn which of them it is. */
  async #culprits(pieces: readonly Piece[], signal: AbortSignal): Promise<readonly TableId[]> {
    const tables = new Map<string, Piece[]>();
    for (const piece of pieces)
      tables.set(piece.group.table.key, [...(tables.get(piece.group.table.key) ?? []), piece]);
    const refused: TableId[] = [];
    for (const own of tables.values()) {
      try {
        await this.#sendAll(own, signal);
      } catch (error) {
        if (!['missing', 'invalid'].includes(failureClass(error))) throw error;
        refused.push(idOf(own[0] as Piece));
      }
    }
    return refused;
  }
}

/** The groups that have rows to be written. */
function piecesOf(batches: readonly PointBatch[]): readonly Piece[] {
  return batches.flatMap((batch) =>
    batch.groups
      .slice(0, batch.groupCount)
      .flatMap((group) => (batch.hasRows(group) ? [{ batch, group }] : [])),
  );
}

function idOf({ group }: Piece): TableId {
  return { database: group.table.database, table: group.table.name };
}

/** Every column of a row that is to be written is there, and its time can be kept. */
function fits(relation: Relation | undefined, { batch, group }: Piece): boolean {
  if (relation?.kind !== 'table') return false;
  const names = new Set(relation.columns.map(({ name }) => name));
  const has = (column: ColumnSpec): boolean =>
    names.has(column.name) && conflictOf(relation, column) === undefined;
  for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
    if (batch.skip[row] !== 0) continue;
    const keys = batch.series[row]?.tagSet.keys ?? [];
    if (!keys.every((name) => has({ name, kind: 'tag', type: 'string' }))) return false;
    for (let cell = batch.firstCell[row] as number; cell < (batch.firstCell[row + 1] as number); cell++) {
      const field = batch.cellField[cell];
      if (field !== undefined && !has({ name: field.name, kind: 'field', type: field.type })) return false;
    }
    if (!isWhole(batch, row, relation.unit)) return false;
  }
  return true;
}

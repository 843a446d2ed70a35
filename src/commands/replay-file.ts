/**
 * One file of the dead letter through the poster: entries are posted in batches, per database in their order. A batch
 * that is refused is halved until the entries that are to blame are alone, so that one bad row keeps only its entry.
 */
import { type FiledEntry, readFile } from '../spool/dead-letter-reader.ts';
import type { FileRange } from './replay-claim.ts';
import type { PostOutcome } from './replay-poster.ts';

/** Entries and their rows. */
export interface Tally {
  entries: number;
  rows: number;
}

/** What became of a file. */
export interface FileOutcome {
  readonly taken: Tally;
  /** Entries that stay, for whatever reason. */
  readonly stays: Tally;
  /** What stays of the file, ascending; a torn end does not, for it was never acknowledged. */
  readonly left: readonly FileRange[];
  /** Why the replay can't go on. */
  readonly stopped: string | undefined;
}

/** What a replay of a file needs. `post` undefined: nothing is posted, and counts as taken. */
export interface FileReplayDeps {
  readonly post: ((database: string, body: Buffer) => Promise<PostOutcome>) | undefined;
  /** Told of each entry that stays. */
  stays(entry: FiledEntry, message: string): Promise<void>;
  damaged(range: FileRange): Promise<void>;
}

/** A batch goes out once it has this size or so many entries. */
const BATCH_BYTES = 2 ** 20;
const BATCH_ENTRIES = 200;

interface Batch {
  readonly entries: FiledEntry[];
  bytes: number;
}

/** Replays the file at `path`. @throws errors of the disk */
export async function replayFile(path: string, deps: FileReplayDeps): Promise<FileOutcome> {
  return await new FileReplay(deps).run(path);
}

class FileReplay {
  private readonly deps: FileReplayDeps;
  private readonly batches = new Map<string, Batch>();
  private readonly taken: Tally = { entries: 0, rows: 0 };
  private readonly stays: Tally = { entries: 0, rows: 0 };
  private readonly left: FileRange[] = [];
  private stopped: string | undefined;

  constructor(deps: FileReplayDeps) {
    this.deps = deps;
  }

  async run(path: string): Promise<FileOutcome> {
    for await (const item of readFile(path)) {
      if (item.kind === 'entry') await this.take(item);
      else if (item.kind === 'damaged') {
        this.left.push(item);
        await this.deps.damaged(item);
      }
    }
    for (const [database, batch] of this.batches) await this.deliver(database, batch.entries);
    const { taken, stays, stopped } = this;
    const left = this.left
      .map(({ offset, bytes }) => ({ offset, bytes }))
      .sort((a, b) => a.offset - b.offset);
    return { taken, stays, left, stopped };
  }

  private async take(entry: FiledEntry): Promise<void> {
    const { database, form, bytes } = entry.head;
    if (!entry.intact) return this.keep(entry, 'the entry is damaged');
    if (form === 'rows') return this.keep(entry, "line protocol can't spell these rows");
    if (form === 'raw' || database === undefined) return this.keep(entry, "the record can't be read");
    let batch = this.batches.get(database);
    if (batch !== undefined && batch.bytes + bytes > BATCH_BYTES) {
      await this.deliver(database, batch.entries);
      batch = undefined;
    }
    if (batch === undefined) this.batches.set(database, (batch = { entries: [], bytes: 0 }));
    batch.entries.push(entry);
    batch.bytes += bytes;
    if (batch.entries.length < BATCH_ENTRIES) return;
    this.batches.delete(database);
    await this.deliver(database, batch.entries);
  }

  private async deliver(database: string, entries: readonly FiledEntry[]): Promise<void> {
    const { post } = this.deps;
    if (this.stopped !== undefined) return this.keepAll(entries, undefined);
    const outcome: PostOutcome =
      post === undefined
        ? { kind: 'taken' }
        : await post(database, Buffer.concat(entries.map(({ body }) => body)));
    if (outcome.kind === 'taken') for (const entry of entries) add(this.taken, entry);
    else if (outcome.kind === 'refused' && entries.length > 1) {
      const half = entries.length >> 1;
      await this.deliver(database, entries.slice(0, half));
      await this.deliver(database, entries.slice(half));
    } else {
      if (outcome.kind === 'failed' && outcome.stop) this.stopped = outcome.message;
      await this.keepAll(entries, outcome.message);
    }
  }

  private async keepAll(entries: readonly FiledEntry[], message: string | undefined): Promise<void> {
    for (const entry of entries) await this.keep(entry, message);
  }

  private async keep(entry: FiledEntry, message: string | undefined): Promise<void> {
    this.left.push(entry);
    add(this.stays, entry);
    if (message !== undefined) await this.deps.stays(entry, message);
  }
}

function add(tally: Tally, entry: FiledEntry): void {
  tally.entries++;
  tally.rows += entry.head.rows;
}

/** `sluice dead-letter ls`: what lies in the folder, file by file. */
import type { DeadReason } from '../model/spool.ts';
import { DEAD_REASONS } from '../spool/dead-letter-entry.ts';
import { type DeadLetterFile, listFiles } from '../spool/dead-letter-files.ts';
import { type FiledEntry, readFile } from '../spool/dead-letter-reader.ts';
import { type CommandDeps, columns, count } from './terminal.ts';

/** What `--json` prints of a file. */
interface FileSummary {
  readonly name: string;
  readonly bytes: number;
  entries: number;
  rows: number;
  /** Rows; entries of records that can't be read have none. */
  readonly rowsByReason: Partial<Record<DeadReason, number>>;
  /** When the first and the last entry came; ISO 8601. */
  oldest: string | null;
  newest: string | null;
  /** Entries whose content is not what was written, and bytes that can't be told apart as entries. */
  damagedEntries: number;
  damagedBytes: number;
  /** Of an entry that a crash cut off; it was never acknowledged. */
  tornBytes: number;
  /** A replay took it, and runs or was interrupted. */
  readonly claimed: boolean;
}

/** Lists the files; 1 when something is damaged. */
export async function listDeadLetter(
  { path, json }: { readonly path: string; readonly json: boolean },
  { terminal, signal }: CommandDeps,
): Promise<0 | 1> {
  const files: FileSummary[] = [];
  for (const file of await listFiles(path)) {
    signal.throwIfAborted();
    files.push(await summarize(file));
  }
  if (json) await terminal.out(`${JSON.stringify({ path, files }, undefined, 2)}\n`);
  else await terminal.out(tableOf(files));
  return files.some(({ damagedEntries, damagedBytes }) => damagedEntries + damagedBytes > 0) ? 1 : 0;
}

async function summarize(file: DeadLetterFile): Promise<FileSummary> {
  const { name, bytes, claimed } = file;
  const summary: FileSummary = {
    name,
    bytes,
    entries: 0,
    rows: 0,
    rowsByReason: {},
    oldest: null,
    newest: null,
    damagedEntries: 0,
    damagedBytes: 0,
    tornBytes: 0,
    claimed,
  };
  for await (const item of readFile(file.path)) {
    if (item.kind === 'damaged') summary.damagedBytes += item.bytes;
    if (item.kind === 'torn') summary.tornBytes += item.bytes;
    if (item.kind === 'entry') addEntry(summary, item);
  }
  return summary;
}

function addEntry(summary: FileSummary, { head: { time, reason, rows }, intact }: FiledEntry): void {
  summary.entries++;
  summary.rows += rows;
  summary.rowsByReason[reason] = (summary.rowsByReason[reason] ?? 0) + rows;
  if (summary.oldest === null || time < summary.oldest) summary.oldest = time;
  if (summary.newest === null || time > summary.newest) summary.newest = time;
  if (!intact) summary.damagedEntries++;
}

function tableOf(files: readonly FileSummary[]): string {
  if (files.length === 0) return 'The dead letter is empty.\n';
  const rows = files.map((file) => [
    file.name,
    file.bytes,
    file.entries,
    file.rows,
    file.oldest ?? '-',
    file.newest ?? '-',
    [...reasonsOf(file), ...remarksOf(file)].join(', '),
  ]);
  return columns([['FILE', 'BYTES', 'ENTRIES', 'ROWS', 'OLDEST', 'NEWEST', ''], ...rows]);
}

function reasonsOf({ rowsByReason }: FileSummary): string[] {
  return DEAD_REASONS.flatMap((reason) => {
    const rows = rowsByReason[reason];
    return rows === undefined ? [] : [`${reason} ${rows}`];
  });
}

function remarksOf(file: FileSummary): string[] {
  return [
    file.claimed ? 'taken for a replay' : '',
    file.damagedEntries > 0 ? `${count(file.damagedEntries, 'entry')} damaged` : '',
    file.damagedBytes > 0 ? `${count(file.damagedBytes, 'byte')} damaged` : '',
    file.tornBytes > 0 ? `${count(file.tornBytes, 'byte')} cut off by a crash` : '',
  ].filter((remark) => remark !== '');
}

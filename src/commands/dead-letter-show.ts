/** `sluice dead-letter show`: entries as text. Lines that clients' names make up are indented, heads are not. */
import type { DeadReason } from '../model/spool.ts';
import type { EntryHead } from '../spool/dead-letter-entry.ts';
import { readFile } from '../spool/dead-letter-reader.ts';
import { selectFiles } from './dead-letter-select.ts';
import { type CommandDeps, count, harmless, harmlessLine } from './terminal.ts';

/** What to show; see DeadLetterCommand. */
export interface ShowOptions {
  readonly path: string;
  readonly files: readonly string[];
  readonly reason: DeadReason | undefined;
  readonly table: string | undefined;
  readonly limit: number;
}

/** Prints entries; 1 when something is damaged, 2 when a file is not there. */
export async function showDeadLetter(options: ShowOptions, deps: CommandDeps): Promise<0 | 1 | 2> {
  const { terminal, signal } = deps;
  const { files, missing } = await selectFiles(options.path, options.files);
  if (missing !== undefined) {
    await terminal.err(`sluice: ${harmlessLine(missing)} is not in ${harmlessLine(options.path)}\n`);
    return 2;
  }
  let shown = 0;
  let damaged = false;
  for (const file of files) {
    for await (const item of readFile(file.path)) {
      signal.throwIfAborted();
      if (item.kind !== 'entry') {
        damaged ||= item.kind === 'damaged';
        await terminal.err(
          `${file.name}: ${count(item.bytes, 'byte')} from ${item.offset} on are ${item.kind}\n`,
        );
        continue;
      }
      damaged ||= !item.intact;
      if (!isWanted(item.head, options)) continue;
      if (options.limit > 0 && shown === options.limit) {
        await terminal.err(`There are more than ${count(shown, 'entry')}; see --limit.\n`);
        return damaged ? 1 : 0;
      }
      shown++;
      await terminal.out(`${headText(file.name, item.head, item.intact)}${bodyText(item.head, item.body)}\n`);
    }
  }
  return damaged ? 1 : 0;
}

function isWanted(head: EntryHead, { reason, table }: ShowOptions): boolean {
  return (reason === undefined || head.reason === reason) && (table === undefined || head.table === table);
}

function headText(file: string, head: EntryHead, intact: boolean): string {
  const { time, reason, rows, database, table, source, askedBy, message } = head;
  const of = table === undefined ? '' : ` of ${harmlessLine(`${database}.${table}`)}`;
  const by = askedBy === undefined ? '' : `\nfrom: ${harmlessLine(`${askedBy}, ${source}`)}`;
  const first = `${file} ${harmlessLine(time)} ${reason}: ${count(rows, 'row')}${of}${intact ? '' : ' (damaged)'}`;
  return `${first}${by}\nwhy: ${harmlessLine(message)}\n`;
}

function bodyText({ form }: EntryHead, body: Buffer): string {
  if (form === 'rows') return `  (rows that line protocol can't spell, ${count(body.length, 'byte')})\n`;
  if (form === 'raw') return `  (a record that can't be read, ${count(body.length, 'byte')})\n`;
  const lines = harmless(body.toString('utf8')).trimEnd();
  return `${lines.replace(/^/gm, '  ')}\n`;
}

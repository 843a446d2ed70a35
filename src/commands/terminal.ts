/** What commands are given, and text made harmless for a terminal. */
import type { Clock } from '../model/clock.ts';

/** Where a command writes; both resolve when there is room for more. */
export interface Terminal {
  /** Results. */
  out(text: string): Promise<void>;
  /** Progress and problems. */
  err(text: string): Promise<void>;
}

/** What running a command needs. */
export interface CommandDeps {
  readonly terminal: Terminal;
  readonly clock: Clock;
  /** Ends the command; what was done until then stays done. */
  readonly signal: AbortSignal;
}

/** Control characters, other ends of lines, and marks that reorder text; a line feed is left alone. */
const TREACHEROUS = /(?!\n)[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_C}\ufeff]/gu;

/** The text with everything in it spelled out that would do something to a terminal. */
export function harmless(text: string): string {
  return text.replace(TREACHEROUS, (char) => `\\u{${(char.codePointAt(0) as number).toString(16)}}`);
}

/** The same in one line. */
export function harmlessLine(text: string): string {
  return harmless(text).replaceAll('\n', '\\n');
}

/** Rows of equally many cells as columns; numbers to the right. */
export function columns(rows: readonly (readonly (string | number)[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, String(cell).length);
  return rows
    .map((row) =>
      row
        .map((cell, i) => {
          const width = widths[i] as number;
          return typeof cell === 'number' ? String(cell).padStart(width) : cell.padEnd(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** `1 row`, `2 rows`. */
export function count(number: number, what: string): string {
  return `${number} ${number === 1 ? what : what.replace(/y$/, 'ie')}${number === 1 ? '' : 's'}`;
}

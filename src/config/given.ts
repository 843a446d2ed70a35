/** What the sources of the configuration have in common: values as given, and how a mistake is worded. */
import type { RawValue } from './option.ts';
import type { OptionEntry } from './options.ts';

/** A value from the file or the environment, not yet checked. */
export interface GivenValue {
  readonly raw: RawValue;
  /** Where it stands: `sluice.yaml:3` or `SLUICE_LISTEN_PORT`. */
  readonly source: string;
}

/** What one source gave: values by option path, and what was wrong with the source itself. */
export interface Given {
  readonly values: ReadonlyMap<string, GivenValue>;
  readonly problems: readonly string[];
}

const MAX_SHOWN = 80;

/** A value for a message: quoted, cut to 80 characters, hidden when the option is secret. */
export function showValue(entry: OptionEntry, raw: unknown): string {
  if (entry.option.secret === true) return '(hidden)';
  const shown = JSON.stringify(raw);
  return shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}…` : shown;
}

/** The sentence about a name that is not known, with the nearest known one where there is one. */
export function unknownName(what: string, name: string, known: readonly string[], source: string): string {
  const near = nearest(name, known);
  return `${source}: unknown ${what} ${JSON.stringify(name.slice(0, MAX_SHOWN))}${near === undefined ? '' : `; did you mean ${near}?`}`;
}

/** The known name that differs by the fewest letters, if those are at most a third of it; case and marks aside. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = letters(name);
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(wanted, letters(candidate)) }))
    .filter(({ candidate, distance }) => distance <= letters(candidate).length / 3)
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.candidate;
}

function letters(name: string): string {
  return name
    .slice(0, MAX_SHOWN)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '');
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[j] as number) + 1, (current[j - 1] as number) + 1));
    }
    previous = current;
  }
  return previous[b.length] as number;
}

/**
 * Names for OpenTSDB's `suggest`, from what the series dictionary remembers: nothing is kept for it, and the way of
 * the points does not know of it. Only names that the guard has admitted are told, so that what strangers made up is
 * not. A gateway that has just started knows none; what was not sent for long is forgotten.
 */
import type { NameIndex, NameKind, NameQuery } from '../model/names.ts';
import type { SeriesDictionary } from './series-dictionary.ts';

/** Names looked at for one answer, some milliseconds' worth. */
const MAX_LOOKS = 100_000;

/** Makes the index over a dictionary. */
export function createNameIndex(dictionary: SeriesDictionary): NameIndex {
  return {
    suggest(kind, query) {
      const found = new Set<string>();
      let looks = 0;
      for (const name of namesOf(dictionary, kind, query)) {
        if (name?.startsWith(query.prefix) === true) found.add(name);
        if (++looks >= MAX_LOOKS) break;
      }
      return [...found].sort().slice(0, query.max);
    },
  };
}

/** All names of the kind, some of them often; undefined for what was looked at in vain. */
function* namesOf(
  dictionary: SeriesDictionary,
  kind: NameKind,
  { database }: NameQuery,
): Iterable<string | undefined> {
  if (kind === 'metrics') {
    for (const table of dictionary.tables()) {
      yield table.database === database && table.admittedBy !== undefined ? table.name : undefined;
    }
    return;
  }
  for (const { tagSet, values } of dictionary.remembered()) {
    if (tagSet.table.database !== database || tagSet.admittedBy === undefined) yield undefined;
    else yield* kind === 'tagk' ? tagSet.keys : values;
  }
}

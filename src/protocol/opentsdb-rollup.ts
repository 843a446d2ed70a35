/**
 * OpenTSDB's `/api/rollup`: reads the points and refuses each of them, for the gateway keeps no rolled-up values. What
 * is wrong with a point comes first, in OpenTSDB's order and words, so that a client's mistakes show as there.
 */
import type { OpenTsdbParser } from '../model/parse-result.ts';
import { JsonReader, type Scalar } from './json-reader.ts';
import { readElements } from './opentsdb-body.ts';
import type { OpenTsdbParserOptions } from './opentsdb-json.ts';
import { checkPoint, readPoint } from './opentsdb-point.ts';
import { PointErrors } from './point-errors.ts';

/** Creates a parser that never puts a row into a batch. */
export function createRollupParser(options: OpenTsdbParserOptions): OpenTsdbParser {
  return {
    parse({ body }) {
      const reader = new JsonReader(body, options.limits.jsonDepth);
      const errors = new PointErrors(body);
      const malformed = readElements(reader, options.limits, (index) => {
        reader.peek();
        const start = reader.at;
        const reason = readRollup(reader, options);
        errors.addElement(start, reader.at, index, reason);
      });
      return malformed ?? { kind: 'parsed', good: 0, failed: errors.failed, errors: errors.list };
    },
  };
}

/** Why the element here is refused. */
function readRollup(reader: JsonReader, options: OpenTsdbParserOptions): string {
  const start = reader.at;
  const raw = readPoint(reader);
  if (raw === undefined) return 'Unexpected null datapoint encountered in set.';
  const point = checkPoint(raw, options, options.limits);
  if (typeof point === 'string') return point;
  reader.at = start;
  const given = readStrings(reader, new Set(['interval', 'aggregator', 'groupByAggregator']));
  if (!given.has('groupByAggregator')) {
    if (!given.has('interval')) return 'Missing interval';
    if (!given.has('aggregator')) return 'Missing aggregator';
  }
  return 'No rollup or aggregations were configured';
}

/** Which of the members have text, in an object that is well-formed. */
function readStrings(reader: JsonReader, wanted: ReadonlySet<string>): ReadonlySet<string> {
  const given = new Set<string>();
  reader.expect('{');
  do {
    const name = reader.memberName();
    if (!wanted.has(name)) reader.skipValue();
    else if (hasText(reader.scalar())) given.add(name);
    else given.delete(name);
  } while (reader.accept(','));
  reader.expect('}');
  return given;
}

function hasText({ kind, text }: Scalar): boolean {
  return kind !== 'null' && text !== '';
}

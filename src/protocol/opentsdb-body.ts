/** The outer form of OpenTSDB's JSON bodies: one object, or an array of elements, and nothing behind it. */
import type { MalformedBody } from '../model/parse-result.ts';
import { JsonError, type JsonReader } from './json-reader.ts';
import { type PointLimits, tooManyPoints } from './limits.ts';

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;

/**
 * Calls `element` at each element with its 0-based index; it has to move the reader behind the element. Answers what is
 * wrong with the body as a whole, or undefined.
 * @throws {GatewayError} body_too_large when there are too many
 */
export function readElements(
  reader: JsonReader,
  limits: PointLimits,
  element: (index: number) => void,
): MalformedBody | undefined {
  const first = reader.peek();
  if (first < 0) return refuse('Missing request content');
  if (first !== OPEN_OBJECT && first !== OPEN_ARRAY)
    return refuse('The JSON must start as an object or an array');
  try {
    if (first === OPEN_OBJECT) element(0);
    else {
      reader.at++;
      if (reader.accept(']')) return refuse('No datapoints found in content');
      for (let index = 0; ; index++) {
        if (index >= limits.pointsPerRequest) throw tooManyPoints(limits);
        element(index);
        if (!reader.accept(',')) break;
      }
      reader.expect(']');
    }
    if (reader.peek() >= 0) throw new JsonError('unexpected text after the data points', reader.at);
    return undefined;
  } catch (error) {
    if (error instanceof JsonError) return refuse('Unable to parse the given JSON', error.message);
    throw error;
  }
}

function refuse(message: string, details?: string): MalformedBody {
  return { kind: 'malformed', message, details };
}

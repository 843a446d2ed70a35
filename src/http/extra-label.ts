/**
 * VictoriaMetrics' query parameter `extra_label`, which adds a tag to every point of a request. It is refused, not
 * passed over: without their tag the points would become other series than the user meant. Pure.
 */

/** Why a write is refused because of its parameters; undefined: it asks for no tags. */
export function refusedLabel(query: Readonly<Record<string, unknown>>): string | undefined {
  return query['extra_label'] === undefined
    ? undefined
    : 'extra_label is not supported; let the sender set the tag';
}

/** The gauges and counters of the watermarks. Made with metrics.ts' own means. */
import type { WatermarkMetrics } from './protect/watermarks.ts';

/** What metrics.ts makes them with. */
interface Maker {
  gauge(name: string, help: string, labelNames: readonly string[]): Labelled<'set'>;
  counter(name: string, help: string, labelNames: readonly string[]): Labelled<'inc'>;
}

type Labelled<M extends string> = Record<M, (labels: Record<string, string>, value: number) => void>;

/** Makes them. */
export function watermarkMetrics(make: Maker): WatermarkMetrics {
  const value = make.gauge('sluice_watermark_value', 'What is compared with the mark; NaN: not known.', [
    'mark',
  ]);
  const tripAt = make.gauge('sluice_watermark_trip', 'Where the mark trips.', ['mark']);
  const clearAt = make.gauge('sluice_watermark_clear', 'Where it clears.', ['mark']);
  const tripped = make.gauge('sluice_watermark_tripped', '1 while the mark is tripped.', ['mark']);
  const trips = make.counter('sluice_watermark_trips_total', 'Times the mark tripped.', ['mark']);
  return {
    sampled(state) {
      const labels = { mark: state.name };
      value.set(labels, state.value ?? Number.NaN);
      tripAt.set(labels, state.tripAt);
      clearAt.set(labels, state.clearAt);
      tripped.set(labels, Number(state.tripped));
      trips.inc(labels, 0);
    },
    tripped: (name) => trips.inc({ mark: name }, 1),
  };
}

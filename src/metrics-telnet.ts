/** The counters of telnet connections that HTTP has no like of. Made with metrics.ts' own means. */
import type { ReplyMetrics } from './tcp/telnet-replies.ts';

/** Makes them, all at 0. */
export function telnetMetrics(make: {
  counter(name: string, help: string): { inc(count?: number): void };
}): ReplyMetrics {
  const dropped = make.counter(
    'sluice_telnet_replies_dropped_total',
    'Error lines that were not written, because the client does not read or there were too many.',
  );
  return { replyDropped: (lines) => dropped.inc(lines) };
}

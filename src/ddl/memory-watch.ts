/** A watch on the memory store: reads the log from its own place on, one revision per turn, and buffers nothing. */
import type { MemoryHistory } from './memory-history.ts';
import type { WatchEnd, WatchHandler } from './store.ts';

interface WatchRequest {
  readonly prefix: string;
  readonly fromRev: number;
  readonly handler: WatchHandler;
  /** Called once, when the watch ends by itself or is stopped. */
  readonly onStopped: () => void;
}

/** Starts the watch; it ends when the returned function is called, or by compaction. */
export function startMemoryWatch(history: MemoryHistory, request: WatchRequest): () => void {
  const { prefix, handler } = request;
  let nextRev = request.fromRev;
  let running = true;
  let busy = true;

  const stop = (): void => {
    if (!running) return;
    running = false;
    offCommit();
    request.onStopped();
  };
  /** The next revision, unless the handler has stopped the watch. */
  const read = (): ReturnType<MemoryHistory['next']> => (running ? history.next(nextRev) : undefined);
  const deliver = (): WatchEnd | undefined => {
    for (let entry = read(); entry !== undefined; entry = read()) {
      if (entry === 'compacted') return 'compacted';
      nextRev = entry.rev + 1;
      const events = entry.events.filter((event) => event.key.startsWith(prefix));
      if (events.length > 0) handler.onBatch(entry.rev, events);
    }
    return undefined;
  };
  const turn = (): void => {
    busy = false;
    if (!running) return;
    const end = deliver();
    if (end === undefined) return;
    stop();
    handler.onEnd(end);
  };
  const offCommit = history.onCommit(() => {
    if (busy) return;
    busy = true;
    queueMicrotask(turn);
  });
  queueMicrotask(() => {
    if (running) handler.onOpen(history.rev);
    turn();
  });
  return stop;
}

/**
 * Closes what was opened, in reverse order. Each part has its own time limit, so that one that hangs does not keep
 * the others from closing; errors are collected. Used by app.ts.
 */
import type { Logger } from '../model/logger.ts';
import { createAbortController } from './abort.ts';

/** Closes a part; `hurry` is aborted at half of the time, for it to cut off what it waits for and still let go. */
export type ClosePart = (hurry: AbortSignal) => Promise<unknown>;

/** Parts to close, the last one first. */
export interface CloseStack {
  /** Adds a part. `close` is called once. */
  push(name: string, close: ClosePart): void;
  /** Closes all parts; answers the names of those that failed or took longer than `limitMs`. Idempotent. */
  close(limitMs: number): Promise<readonly string[]>;
}

/** Makes an empty stack. */
export function createCloseStack(logger: Logger): CloseStack {
  const parts: { name: string; close: ClosePart }[] = [];
  let closing: Promise<readonly string[]> | undefined;

  async function closeAll(limitMs: number): Promise<readonly string[]> {
    const failed: string[] = [];
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      const { name, close } = part;
      try {
        await within(limitMs, close);
        logger.debug({ part: name }, 'closed');
      } catch (error) {
        failed.push(name);
        logger.error({ part: name, err: error }, 'could not close');
      }
    }
    return failed;
  }

  return {
    push: (name, close) => void parts.push({ name, close }),
    close: (limitMs) => (closing ??= closeAll(limitMs)),
  };
}

async function within(limitMs: number, close: ClosePart): Promise<void> {
  const hurry = createAbortController();
  const soon = setTimeout(() => hurry.abort(new Error('half of the time to close is over')), limitMs / 2);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${limitMs} ms`)), limitMs);
  });
  try {
    await Promise.race([close(hurry.signal), late]);
  } finally {
    clearTimeout(soon);
    clearTimeout(timer);
  }
}

/**
 * Closes what was opened, in reverse order. Each part has its own time limit, so that one that hangs does not keep
 * the others from closing; errors are collected. Used by app.ts.
 */
import type { Logger } from '../model/logger.ts';

/** Parts to close, the last one first. */
export interface CloseStack {
  /** Adds a part. `close` is called once. */
  push(name: string, close: () => Promise<unknown>): void;
  /** Closes all parts; answers the names of those that failed or took longer than `limitMs`. Idempotent. */
  close(limitMs: number): Promise<readonly string[]>;
}

/** Makes an empty stack. */
export function createCloseStack(logger: Logger): CloseStack {
  const parts: { name: string; close: () => Promise<unknown> }[] = [];
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

async function within(limitMs: number, close: () => Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${limitMs} ms`)), limitMs);
  });
  try {
    await Promise.race([close(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waiting for what other processes do: look again and again, for a bounded time. */

/** Between two looks. */
const LOOK_MS = 25;

/** Looks until the answer is neither undefined nor false. @throws after `limitMs`, naming what was waited for */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  limitMs = 30_000,
): Promise<T> {
  const untilMs = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > untilMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

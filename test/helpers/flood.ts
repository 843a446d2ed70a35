/** Many requests at a time. */

/** Runs `send` for 0 to `count` - 1, `width` at a time. */
export async function flood(count: number, width: number, send: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < count) await send(next++);
    }),
  );
}

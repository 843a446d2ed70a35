/**
 * The end of the event loop's turn, which all requests of the turn wait for together. Answers that are sent one right
 * after the other wake a client that waits for several of them once; sent as each request ends, every one of them may
 * wake it, and that costs more than all of parsing (docs/performance.md). Used by intake.ts.
 */

/** Resolves when what came in during this turn of the loop has been worked on. */
export type TurnEnd = () => Promise<void>;

/** Makes the wait; one timer serves all who call it in a turn. */
export function createTurnEnd(): TurnEnd {
  let pending: Promise<void> | undefined;
  return () =>
    (pending ??= new Promise((resolve) => {
      setImmediate(() => {
        pending = undefined;
        resolve();
      });
    }));
}

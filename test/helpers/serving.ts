/** When a server that a test started is ready, by what it logs. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Lines that are shown when it ends instead. */
const LAST_LINES = 20;

/** Resolves when a line of its standard error holds `ready`; rejects, with the last lines, when it ends before. */
export function serving(child: ChildProcess, name: string, ready: string): Promise<void> {
  const lines = createInterface({ input: child.stderr as NodeJS.ReadableStream });
  const last: string[] = [];
  return new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      last.push(line);
      if (last.length > LAST_LINES) last.shift();
      if (line.includes(ready)) resolve();
    });
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`${name} ended: ${last.join('\n')}`)));
  });
}

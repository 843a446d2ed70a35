/** A file system of few bytes, for what happens when it is full. Only root can mount one, and not in every container. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** The folder where it is mounted until the test ends; undefined: that is not possible here, and the test is skipped. */
export function mountSmallDisk(t: TestContext, mebibytes: number): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    rmdirSync(folder);
    t.skip('a file system can not be mounted here');
    return undefined;
  }
  t.after(() => {
    // Lazily, for the server that uses it may end later.
    execFileSync('umount', ['--lazy', folder]);
    rmdirSync(folder);
  });
  chmodSync(folder, 0o777);
  return folder;
}

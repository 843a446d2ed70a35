import assert from 'node:assert/strict';
import { openTestDisk, spoolPath } from '../helpers/spool-disk.ts';
import { spoolDiskSuite } from './spool-disk-suite.ts';

spoolDiskSuite('disk', async (t) => {
  const path = await spoolPath();
  let { disk, counts } = await openTestDisk(t, { path });
  const reopen = async (): Promise<typeof disk> => {
    await disk.close();
    assert.deepEqual(counts.errors, []);
    ({ disk, counts } = await openTestDisk(t, { path }));
    // Else it was found damaged, and counted anew.
    assert.deepEqual(counts.errors, []);
    return disk;
  };
  return { disk, reopen };
});

/** The marks on a fake clock: when they trip, when they clear, and what each stops. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { createWatermarks, type Mark } from '../../src/protect/watermarks.ts';
import { FakeClock } from '../helpers/fake-clock.ts';

type Plane = Mark['plane'];

function setUp(mark: { plane: Plane; tripAt: number; clearAt: number }) {
  const clock = new FakeClock();
  const rig = { value: undefined as number | undefined, trips: 0 };
  const metrics = { sampled: () => undefined, tripped: () => void rig.trips++ };
  const options = { sampleMs: 1_000, dwellMs: 5_000 };
  const watermarks = createWatermarks(options, { clock, metrics, logger: pino({ level: 'silent' }) });
  watermarks.add([{ ...mark, name: 'open_tasks', read: () => rig.value }]);
  watermarks.start();
  /** Whether it is tripped after so many samples of the value. */
  const after = async (value: number | undefined, samples = 1): Promise<boolean | undefined> => {
    rig.value = value;
    await clock.advance(samples * 1_000);
    return watermarks.states()[0]?.tripped;
  };
  return { rig, watermarks, after };
}

describe('a watermark', () => {
  it('trips at its mark, and clears below the lower one after the dwell time', async () => {
    const { rig, watermarks, after } = setUp({ plane: 'control', tripAt: 100, clearAt: 90 });
    assert.equal(await after(99), false);
    assert.equal(await after(100), true);
    assert.equal(await after(95, 20), true);
    assert.equal(await after(90, 20), true);
    assert.equal(await after(undefined), true);
    assert.equal(await after(89), false);
    assert.equal(await after(100), true);
    assert.equal(await after(0, 4), true);
    assert.equal(await after(0), false);
    assert.equal(rig.trips, 2);
    await watermarks.close();
  });

  it('watches for too little when it clears above where it trips', async () => {
    const { watermarks, after } = setUp({ plane: 'data', tripAt: 100, clearAt: 120 });
    assert.equal(await after(101), false);
    assert.equal(await after(100), true);
    assert.equal(await after(120, 20), true);
    assert.equal(await after(121), false);
    await watermarks.close();
  });

  it('changes nothing while its value is not known', async () => {
    const { watermarks, after } = setUp({ plane: 'data', tripAt: 100, clearAt: 90 });
    assert.equal(await after(undefined, 3), false);
    assert.equal(watermarks.dataPlaneOk, true);
    await watermarks.close();
  });

  for (const [plane, control, data] of [
    ['control', false, true],
    ['data', true, false],
    ['none', true, true],
  ] as const) {
    it(`of the plane "${plane}" stops that and nothing else`, async () => {
      const { watermarks, after } = setUp({ plane, tripAt: 1, clearAt: 0.5 });
      assert.equal(await after(1), true);
      assert.deepEqual([watermarks.controlPlaneOk, watermarks.dataPlaneOk], [control, data]);
      assert.equal(await after(0, 5), false);
      assert.deepEqual([watermarks.controlPlaneOk, watermarks.dataPlaneOk], [true, true]);
      await watermarks.close();
    });
  }
});

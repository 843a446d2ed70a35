/**
 * Reads one lane from its beginning, window by window, and removes what is done. A removal takes effect at once for
 * everybody but the disk, which may still give the records back for a moment; so the cursor reads on behind them, and
 * never removes a record twice. Made and called by lane-drainer.ts.
 */
import type { LaneState, SpoolDisk, StoredRecord } from '../model/spool.ts';

/** See the module comment. */
export class LaneCursor {
  private readonly disk: SpoolDisk;
  private readonly key: string;
  private laneId = -1;
  private afterSeq = 0;
  /** Removals that the disk has not carried out. */
  private removing = 0;

  /** `key`: `tableKey` of the table. */
  constructor(disk: SpoolDisk, key: string) {
    this.disk = disk;
    this.key = key;
  }

  /** The lane; undefined when it is empty. */
  get state(): LaneState | undefined {
    return this.disk.laneOf(this.key);
  }

  /**
   * The next synced records, as many as fit `maxBytes`, at least one if there is one.
   * @throws {GatewayError} when the disk can't be read
   */
  async read(maxBytes: number): Promise<readonly StoredRecord[]> {
    const { state } = this;
    if (state === undefined) return [];
    if (state.id !== this.laneId) {
      this.laneId = state.id;
      this.afterSeq = 0;
    }
    const records = await this.disk.read(state.id, this.afterSeq, maxBytes);
    // A removal that got lost with a failure of the disk: the records are there again.
    if (records.length === 0 && this.removing === 0) this.afterSeq = 0;
    return records;
  }

  /** Removes the first records of those read. Should the process end now, they come back, which is harmless. */
  remove(records: readonly StoredRecord[]): void {
    const last = records.at(-1);
    if (last === undefined) return;
    this.afterSeq = last.seq;
    this.removing++;
    const { done } = this.disk.commit({ remove: [{ lane: this.laneId, records }] });
    void Promise.allSettled([done]).then(() => this.removing--);
  }
}

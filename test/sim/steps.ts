/**
 * The named steps of a gateway (etcd.md 3.6) at which something can be made to happen to it, once, to whoever gets
 * there first. `in`: the request has been sent, its answer has not been looked at.
 */
import type { TxnLabel } from '../../src/ddl/store.ts';

/** Calls with a step before, in and after them. */
export type StepName = TxnLabel | 'ddl' | 'candidacy' | 'bucket';

/** A moment of a call; `candidacy` is the grant of a leader's lease, `bucket` that of a lease for outcomes. */
export type Step = `${StepName}.${'before' | 'in' | 'after'}`;

const NAMES: readonly StepName[] = [
  'enqueue',
  'elect',
  'ddl',
  'complete',
  'breaker',
  'drain',
  'forget',
  'bucket',
  'candidacy',
];

/** The steps that traps are set at. */
export const STEPS: readonly Step[] = NAMES.flatMap((name) =>
  (['before', 'in', 'after'] as const).map((moment): Step => `${name}.${moment}`),
);

/** What is to happen to the gateway. */
export type Trap = 'kill' | 'freeze';

/** See the module comment. */
export class Steps {
  /** How often each trap was sprung: `kill enqueue.in`. */
  readonly sprung = new Map<string, number>();
  #set: { readonly step: Step; readonly trap: Trap }[] = [];

  arm(step: Step, trap: Trap): void {
    this.#set.push({ step, trap });
  }

  /** A gateway is there: what happens to it? */
  reached(step: Step): Trap | undefined {
    const index = this.#set.findIndex((set) => set.step === step);
    const [set] = index === -1 ? [] : this.#set.splice(index, 1);
    if (set !== undefined)
      this.sprung.set(`${set.trap} ${step}`, (this.sprung.get(`${set.trap} ${step}`) ?? 0) + 1);
    return set?.trap;
  }

  disarm(): void {
    this.#set = [];
  }
}

/**
 * What the database may see (G1): a statement comes from the leader, for a task that is open; not while another one of
 * the same term runs for that target; after a failure not before the back-off is over; and again for what
 * is there already only after another term. The windows between tasks are the invariants' I6.
 */
import { fingerprint } from '../../src/model/ddl-queue.ts';
import { tableKey } from '../../src/model/table.ts';
import type { QueueInvariants } from '../helpers/queue-invariants.ts';

/** Times of the queues, and where to look and complain. */
export interface StatementRulesDeps {
  readonly invariants: QueueInvariants;
  readonly now: () => number;
  readonly exists: (target: string) => boolean;
  readonly ddlTimeoutMs: number;
  readonly ambiguousHoldMs: number;
  readonly retryBaseMs: number;
  readonly maxAttempts: number;
  readonly transientMinMs: number;
  readonly permanentMinMs: number;
}

/** What a gateway sends. */
export interface StatementText {
  readonly kind: 'database' | 'create' | 'widen';
  readonly database: string;
  readonly table: string | undefined;
}

/** How the gateway learned that it ended; `ambiguous`: it did not. */
type End = 'done' | 'invalid' | 'denied' | 'transient' | 'ambiguous';

/** A statement that was sent. */
export interface Sent extends StatementText {
  readonly target: string;
  readonly nonce: string;
  readonly tenant: string;
  /** Fingerprint of the columns that its task wants. */
  readonly wants: string;
  readonly fence: number;
  readonly beganMs: number;
  end: End | undefined;
  endedMs: number;
  /** The target was dropped by others since. */
  dropped: boolean;
}

/** Statements of one attempt at most. */
const PER_ATTEMPT = 3;
/** Shortest of a jittered delay, as a share of it. */
const SHORTEST = 0.8;

/** See the module comment. */
export class StatementRules {
  readonly violations: string[] = [];
  sent = 0;
  /** Statements for a task that an earlier term had sent some for. */
  afterOtherTerm = 0;
  readonly #deps: StatementRulesDeps;
  #forgotMs = 0;
  readonly #last = new Map<string, Sent>();
  readonly #perTerm = new Map<string, number>();

  constructor(deps: StatementRulesDeps) {
    this.#deps = deps;
  }

  /** A gateway sends a statement. */
  began(gateway: string, text: StatementText): Sent {
    const { invariants, now } = this.#deps;
    const target = targetOf(text);
    const fail = (what: string): void =>
      void this.violations.push(`G1 ${text.kind} ${show(target)} by ${gateway}: ${what}`);
    const fence = invariants.fence ?? 0;
    const leader = invariants.leaders.get(fence);
    if (invariants.fence === undefined || leader !== gateway) fail(`the leader is ${leader ?? 'nobody'}`);
    const task = invariants.openTask(text.database, text.table);
    if (task === undefined) fail('no task is open for it');
    const sent: Sent = {
      ...text,
      target,
      nonce: task?.nonce ?? '',
      tenant: task?.tenant ?? '',
      wants: fingerprint(task?.columns ?? []),
      fence,
      beganMs: now(),
      end: undefined,
      endedMs: now(),
      dropped: false,
    };
    const before = this.#last.get(target);
    if (before !== undefined) this.#compare(before, sent, fail);
    this.#count(sent, fail);
    this.#last.set(target, sent);
    return sent;
  }

  ended(sent: Sent, end: End): void {
    sent.end = end;
    sent.endedMs = this.#deps.now();
  }

  /** Somebody else dropped the target. */
  dropped(target: string): void {
    const last = this.#last.get(target);
    if (last !== undefined) last.dropped = true;
  }

  /** Somebody made the gateways forget failures. */
  forgot(): void {
    this.#forgotMs = this.#deps.now();
  }

  #count(sent: Sent, fail: (what: string) => void): void {
    this.sent++;
    const key = `${sent.nonce} ${sent.fence}`;
    const count = (this.#perTerm.get(key) ?? 0) + 1;
    this.#perTerm.set(key, count);
    if (count > this.#deps.maxAttempts * PER_ATTEMPT) fail(`${count} statements for one task`);
  }

  #compare(before: Sent, sent: Sent, fail: (what: string) => void): void {
    const { exists, ddlTimeoutMs, ambiguousHoldMs, retryBaseMs } = this.#deps;
    if (before.fence !== sent.fence) {
      if (before.nonce === sent.nonce) this.afterOtherTerm++;
      return;
    }
    const there = exists(sent.target);
    const sinceBegan = sent.beganMs - before.beganMs;
    const sinceEnd = sent.beganMs - before.endedMs;
    if (before.end === undefined) {
      // Given up by the gateway: it counts as running until the schema shows it, or the hold is over.
      const seen = there || before.dropped;
      if (!seen && sinceBegan < ddlTimeoutMs + ambiguousHoldMs) fail('another one of the same term runs');
    } else if (before.end === 'ambiguous') {
      if (!there && !before.dropped && sinceEnd < ambiguousHoldMs) fail('sent again while ambiguous');
    } else if (before.end === 'done') {
      const again = before.kind === 'create' && sent.kind === 'create';
      if (again && !before.dropped) fail('created twice in one term');
    } else if (before.nonce === sent.nonce) {
      if (before.end !== 'transient') fail(`tried again after ${before.end}`);
      else if (sinceEnd < retryBaseMs * SHORTEST - 1) fail(`tried again after ${sinceEnd} ms`);
    } else if (sinceEnd < this.#backOffMs(before, sent)) {
      fail(`tried in its back-off, after ${sinceEnd} ms`);
    }
  }

  /** How long a later task for the same target has to stay away. */
  #backOffMs(before: Sent, { wants, tenant }: Sent): number {
    const { transientMinMs, permanentMinMs } = this.#deps;
    if (before.dropped || this.#forgotMs >= before.beganMs) return 0;
    if (before.end === 'transient') {
      // It may have ended by its tenant's breaker, which leaves the table to other tenants; an outcome is I6's. The
      // guard has none: there a table's tenant is its database, so nothing is let through here that it could ask for.
      return before.tenant === tenant ? transientMinMs * SHORTEST - 1 : 0;
    }
    return before.end === 'invalid' && before.wants === wants ? permanentMinMs * SHORTEST - 1 : 0;
  }
}

/** The name under which a target is known. */
export function targetOf({ database, table }: Pick<StatementText, 'database' | 'table'>): string {
  return table === undefined ? database : tableKey({ database, table });
}

function show(target: string): string {
  return JSON.stringify(target);
}

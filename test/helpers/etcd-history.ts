/**
 * What happened in a real etcd, revision by revision, read by etcd's own client: neither the driver under test nor a
 * gateway has a part in it. Follows from the first revision on, over restarts of etcd and over compactions.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { KeyValue, WatchEvent, WatchHandler } from '../../src/ddl/store.ts';
import type { Cleanup, Etcd } from './etcd.ts';
import { ETCDCTL } from './etcd-install.ts';

/** Outside every prefix; put to see how far the history has come. */
const MARK = '/history-mark';

/** All changes of one revision, whatever the keys. */
type Listener = (rev: number, events: readonly WatchEvent[]) => void;

/** See the module comment. */
export interface EtcdHistory {
  /** Calls back for every revision from the first on. To be called before anything is awaited. */
  listen(listener: Listener): void;
  /** As `Store.watch`, but always from the first revision, and it never ends. Likewise. */
  watch(prefix: string, fromRev: number, handler: WatchHandler): () => void;
  /** Resolves when everything that is in etcd now has been seen. Needs an etcd that takes puts. */
  caughtUp(): Promise<void>;
  /** The newest revision seen. */
  readonly rev: number;
  close(): Promise<void>;
}

interface Response {
  readonly Events?: readonly {
    readonly type?: number;
    readonly kv: {
      readonly key: string;
      readonly value?: string;
      readonly create_revision?: number;
      readonly mod_revision: number;
    };
  }[];
}

/** Follows these members; the watch goes over to another when one ends. */
export function followEtcd(cleanup: Cleanup, members: readonly Etcd[]): EtcdHistory {
  const endpoints = members.map(({ url }) => url).join(',');
  const child = spawn(
    ETCDCTL,
    ['--endpoints', endpoints, 'watch', '--prefix', '', '--rev', '1', '-w', 'json'],
    {
      env: { PATH: '/usr/bin:/bin', ETCDCTL_API: '3' },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const marks = new Map<string, () => void>();
  const listeners: Listener[] = [];
  let rev = 0;

  createInterface({ input: child.stdout }).on('line', (line) => {
    for (const batch of batchesOf(JSON.parse(line) as Response)) {
      rev = batch.rev;
      for (const tell of listeners) tell(batch.rev, batch.events);
      for (const { key, kv } of batch.events) if (key === MARK) marks.get(kv?.value ?? '')?.();
    }
  });
  const close = (): Promise<void> => ended(child);
  cleanup.after(close);
  return {
    get rev() {
      return rev;
    },
    listen: (listener) => void listeners.push(listener),
    watch(prefix, _fromRev, handler) {
      listeners.push((revision, events) => {
        const inside = events.filter(({ key }) => key.startsWith(prefix));
        if (inside.length > 0) handler.onBatch(revision, inside);
      });
      return () => undefined;
    },
    async caughtUp() {
      const mark = `${process.pid}-${Math.random()}`;
      const seen = new Promise<void>((resolve) => marks.set(mark, resolve));
      await putSomewhere(members, mark);
      await seen;
      marks.delete(mark);
    },
    close,
  };
}

/** The events of an answer by revision; an answer never holds half a revision. */
function batchesOf({ Events = [] }: Response): { rev: number; events: WatchEvent[] }[] {
  const byRev = new Map<number, WatchEvent[]>();
  for (const { type, kv } of Events) {
    const key = text(kv.key);
    const events = byRev.get(kv.mod_revision) ?? [];
    byRev.set(kv.mod_revision, events);
    const value: KeyValue | undefined =
      type === 1
        ? undefined
        : {
            key,
            value: text(kv.value ?? ''),
            create: kv.create_revision ?? 0,
            mod: kv.mod_revision,
            lease: undefined,
          };
    events.push({ key, kv: value });
  }
  return Array.from(byRev, ([rev, events]) => ({ rev, events }));
}

function text(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}

async function putSomewhere(members: readonly Etcd[], value: string): Promise<void> {
  let last: unknown;
  for (const member of members) {
    try {
      await member.ctl(['--command-timeout', '10s', 'put', MARK, value]);
      return;
    } catch (error) {
      last = error;
    }
  }
  throw new Error('no member of etcd takes a put', { cause: last });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}

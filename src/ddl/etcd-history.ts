/**
 * What this gateway knows of the store's history, to notice that it is another one: a wiped etcd, a restored
 * backup, another cluster at the same address. Each such break begins an era, and revisions of different eras
 * mean nothing to each other.
 */
import type { Logger } from '../model/logger.ts';

/** The part of every answer's header that tells. */
export interface AnswerHeader {
  readonly cluster_id: string;
  readonly revision: string;
}

/** What was known when a call was sent. */
export interface HistoryMark {
  readonly era: number;
  readonly head: number;
}

/** See the module comment. */
export class EtcdHistory {
  readonly #logger: Logger;
  readonly #eraOf = new Map<string, number>();
  #cluster: string | undefined;
  #head = 0;
  #era = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get era(): number {
    return this.#era;
  }

  /** The newest revision seen. */
  get head(): number {
    return this.#head;
  }

  /** To be taken before a linearizable call and given with its answer. */
  mark(): HistoryMark {
    return { era: this.#era, head: this.#head };
  }

  /**
   * Notes an answer. With a mark: the call was linearizable, so an answer from before the mark means that the
   * store went back. Without: a member may lag, which means nothing.
   */
  saw(header: AnswerHeader, mark?: HistoryMark): void {
    const revision = Number(header.revision);
    if (this.#cluster !== undefined && this.#cluster !== header.cluster_id) {
      this.#newEra(header, 'etcd is another cluster than before, or was emptied');
    } else if (mark !== undefined && mark.era === this.#era && revision < mark.head) {
      this.#newEra(header, 'etcd went back to an older revision: was a backup restored?');
    } else if (revision > this.#head) {
      this.#head = revision;
    }
    this.#cluster = header.cluster_id;
  }

  /** The era that the last watch of this prefix, or the list before it, belonged to. */
  eraOf(prefix: string): number {
    return this.#eraOf.get(prefix) ?? 0;
  }

  /** The watch of this prefix was told of the new era. Watches are few, so are the entries. */
  accept(prefix: string): void {
    this.#eraOf.set(prefix, this.#era);
  }

  #newEra({ cluster_id, revision }: AnswerHeader, message: string): void {
    this.#logger.warn(
      { cluster: cluster_id, before: this.#cluster, revision, newestSeen: this.#head },
      `${message}; what is cached of it is read anew`,
    );
    this.#era++;
    this.#head = Number(revision);
  }
}

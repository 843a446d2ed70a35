/**
 * The leader's judgement of tenants, from how their attempts end: when to open a breaker, for whom, and, after
 * one has expired, that only one task at a time is tried until one goes through. In memory; a new leader begins
 * without suspicion, which costs at most a few attempts.
 */

/** Tenants watched at the same time; beyond it the oldest is forgotten. */
const MAX_TENANTS = 1_024;
/** Breakers of so many tenants at the same time become one of all. */
const TENANTS_FOR_ALL = 3;

interface Conduct {
  /** Code of the failures in a row, and which targets met it. */
  code: string;
  readonly failed: Set<string>;
  /** A breaker was opened for it, and nothing has gone through since. */
  suspect: boolean;
  running: number;
}

/** See the module comment. */
export class Probation {
  readonly #afterTables: number;
  readonly #byTenant = new Map<string, Conduct>();
  #allSuspect = false;
  #running = 0;

  constructor(afterTables: number) {
    this.#afterTables = afterTables;
  }

  /** False while a suspect tenant's one probe runs. */
  mayStart(tenant: string): boolean {
    if (this.#allSuspect && this.#running > 0) return false;
    const conduct = this.#byTenant.get(tenant);
    return conduct?.suspect !== true || conduct.running === 0;
  }

  started(tenant: string): void {
    this.#running++;
    this.#conduct(tenant).running++;
  }

  finished(tenant: string): void {
    this.#running--;
    const conduct = this.#byTenant.get(tenant);
    if (conduct !== undefined) conduct.running--;
  }

  /** The database did as it was told, or said why this one target is impossible: it can be talked to. */
  wentThrough(tenant: string): void {
    this.#allSuspect = false;
    const conduct = this.#conduct(tenant);
    conduct.suspect = false;
    conduct.failed.clear();
  }

  /** A target ended as transient; true when the tenant has had enough of these. */
  failed(tenant: string, target: string, code: string): boolean {
    const conduct = this.#conduct(tenant);
    if (conduct.code !== code) conduct.failed.clear();
    conduct.code = code;
    conduct.failed.add(target);
    return conduct.suspect || conduct.failed.size >= this.#afterTables;
  }

  /** A breaker is to be opened because of this tenant: of it alone, or of all? */
  scope(tenant: string, openTenants: number): 'tenant' | 'all' {
    this.#conduct(tenant).suspect = true;
    if (this.#allSuspect || openTenants + 1 >= TENANTS_FOR_ALL) {
      this.#allSuspect = true;
      return 'all';
    }
    return 'tenant';
  }

  #conduct(tenant: string): Conduct {
    let conduct = this.#byTenant.get(tenant);
    if (conduct === undefined) {
      conduct = { code: '', failed: new Set(), suspect: false, running: 0 };
      this.#byTenant.set(tenant, conduct);
      for (const [name, old] of this.#byTenant) {
        if (this.#byTenant.size <= MAX_TENANTS) break;
        if (old.running === 0 && name !== tenant) this.#byTenant.delete(name);
      }
    }
    return conduct;
  }
}

/**
 * Items that wait for their turn: the tenants take turns, and inside a tenant the first to come goes first. As every
 * task costs the same, deficit round robin is this plain one. Bounded by whoever fills it (open tasks).
 */

/** See the module comment. */
export class FairQueue<T> {
  /** In the order of their turns; no empty lists. */
  readonly #byTenant = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(tenant: string, item: T): void {
    const items = this.#byTenant.get(tenant);
    if (items === undefined) this.#byTenant.set(tenant, [item]);
    else items.push(item);
    this.#size++;
  }

  /** The next item of the first tenant in turn that may have one now; its tenant goes to the end. */
  take(mayTake: (tenant: string) => boolean): T | undefined {
    for (const [tenant, items] of this.#byTenant) {
      if (!mayTake(tenant)) continue;
      const item = items.shift();
      this.#byTenant.delete(tenant);
      if (items.length > 0) this.#byTenant.set(tenant, items);
      this.#size--;
      return item;
    }
    return undefined;
  }

  /** Takes one item out of turn; false when it is not there. */
  remove(tenant: string, item: T): boolean {
    const items = this.#byTenant.get(tenant) ?? [];
    const index = items.indexOf(item);
    if (index === -1) return false;
    items.splice(index, 1);
    if (items.length === 0) this.#byTenant.delete(tenant);
    this.#size--;
    return true;
  }

  clear(): void {
    this.#byTenant.clear();
    this.#size = 0;
  }
}

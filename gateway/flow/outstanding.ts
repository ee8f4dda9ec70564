/** Bounds on invoices that nobody has paid yet. */
export interface OutstandingLimits {
  readonly maxOutstanding: number;
  /** Share of maxOutstanding, 0 to 1, that only accounts which have paid may use. */
  readonly reservedShare: number;
  readonly maxOutstandingPerClient: number;
}

/** Who asks for an invoice. */
export interface Asker {
  /** Throttle key of its address. */
  readonly clientKey: string;
  /** It presented a credential that was paid for. */
  readonly hasPaid: boolean;
}

/** A place for one invoice, or why there is none. */
export type Admission =
  | { readonly kind: 'admitted'; readonly place: Place }
  | { readonly kind: 'full-for-client' | 'full' };

/** One place: tied to an invoice once it exists, or given back when none was made. */
export interface Place {
  hold(paymentHash: string, expiresAtSec: number): void;
  giveBack(): void;
}

/** The count of invoices issued and neither paid nor expired. */
export interface Outstanding {
  admit(asker: Asker, limits: OutstandingLimits): Admission;
  /** A payment was presented: its invoice is no longer outstanding. */
  paid(paymentHash: string): void;
  count(): number;
}

interface Entry {
  readonly clientKey: string;
  readonly expiresAtSec: number;
}

/**
 * Counts outstanding invoices in memory. The bound is per address first, so that one attacker fills its own share and not
 * the shop; and the last part of the whole is kept for accounts that have paid, so that many attackers together can't stop
 * the sales to them.
 */
export function createOutstanding(nowSec: () => number): Outstanding {
  // Insertion order is near enough to expiry order: expired entries are found at the front.
  const entries = new Map<string, Entry>();
  const perClient = new Map<string, number>();
  let pending = 0;

  const leave = (clientKey: string): void => {
    const left = (perClient.get(clientKey) ?? 1) - 1;
    if (left <= 0) perClient.delete(clientKey);
    else perClient.set(clientKey, left);
  };
  const dropExpired = (): void => {
    const now = nowSec();
    for (const [paymentHash, entry] of entries) {
      if (entry.expiresAtSec > now) return;
      entries.delete(paymentHash);
      leave(entry.clientKey);
    }
  };
  const takePlace = (clientKey: string): Place => {
    pending += 1;
    perClient.set(clientKey, (perClient.get(clientKey) ?? 0) + 1);
    let open = true;
    const close = (): boolean => {
      if (!open) return false;
      open = false;
      pending -= 1;
      return true;
    };
    return {
      hold: (paymentHash, expiresAtSec) => {
        if (close()) entries.set(paymentHash, { clientKey, expiresAtSec });
      },
      giveBack: () => {
        if (close()) leave(clientKey);
      },
    };
  };

  return {
    admit(asker, limits) {
      dropExpired();
      if ((perClient.get(asker.clientKey) ?? 0) >= limits.maxOutstandingPerClient)
        return { kind: 'full-for-client' };
      const open = limits.maxOutstanding * (asker.hasPaid ? 1 : 1 - limits.reservedShare);
      if (entries.size + pending >= open) return { kind: 'full' };
      return { kind: 'admitted', place: takePlace(asker.clientKey) };
    },
    paid(paymentHash) {
      const entry = entries.get(paymentHash);
      if (entry === undefined) return;
      entries.delete(paymentHash);
      leave(entry.clientKey);
    },
    count: () => entries.size + pending,
  };
}

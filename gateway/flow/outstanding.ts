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
  /** The account of the credential that it presented, when that was paid for; undefined for a stranger. */
  readonly paidAccountId: string | undefined;
}

/** A place for one invoice, or why there is none. */
export type Admission =
  | { readonly kind: 'admitted'; readonly place: Place }
  | { readonly kind: 'full-for-client' | 'full' };

/** One place: tied to an invoice once it exists, or given back when none was made. */
export interface Place {
  /** @param onPaid - called once when the invoice is paid before its end */
  hold(paymentHash: string, expiresAtSec: number, onPaid?: () => void): void;
  giveBack(): void;
}

/**
 * Places of the reserved share that one account may hold at once: enough for a client that asks twice before it pays, and an account
 * that was opened with one sat does not open the whole share.
 */
export const MAX_RESERVED_PER_ACCOUNT = 3;

/** The count of invoices issued and neither paid nor expired. */
export interface Outstanding {
  admit(asker: Asker, limits: OutstandingLimits): Admission;
  /** A payment was presented: its invoice is no longer outstanding. */
  paid(paymentHash: string): void;
  count(): number;
}

/** Whom a place is counted for. */
interface Holder {
  readonly clientKey: string;
  /** The account, when the place is of the reserved share. */
  readonly reservedFor: string | undefined;
}

interface Entry extends Holder {
  readonly expiresAtSec: number;
  readonly onPaid: (() => void) | undefined;
}

/**
 * Counts outstanding invoices in memory. The bound is per address first, so that one attacker fills its own share and not
 * the shop; and the last part of the whole is kept for accounts that have paid, a few places each, so that many attackers together
 * can't stop the sales to them.
 */
export function createOutstanding(nowSec: () => number): Outstanding {
  // Insertion order is near enough to expiry order: expired entries are found at the front.
  const entries = new Map<string, Entry>();
  const perClient = new Map<string, number>();
  const reservedPerAccount = new Map<string, number>();
  let pending = 0;

  const leave = ({ clientKey, reservedFor }: Holder): void => {
    countDown(perClient, clientKey);
    if (reservedFor !== undefined) countDown(reservedPerAccount, reservedFor);
  };
  const dropExpired = (): void => {
    const now = nowSec();
    for (const [paymentHash, entry] of entries) {
      if (entry.expiresAtSec > now) return;
      entries.delete(paymentHash);
      leave(entry);
    }
  };
  const takePlace = (holder: Holder): Place => {
    const { clientKey, reservedFor } = holder;
    pending += 1;
    countUp(perClient, clientKey);
    if (reservedFor !== undefined) countUp(reservedPerAccount, reservedFor);
    let open = true;
    const close = (): boolean => {
      if (!open) return false;
      open = false;
      pending -= 1;
      return true;
    };
    return {
      hold: (paymentHash, expiresAtSec, onPaid) => {
        if (close()) entries.set(paymentHash, { clientKey, reservedFor, expiresAtSec, onPaid });
      },
      giveBack: () => {
        if (close()) leave(holder);
      },
    };
  };

  return {
    admit({ clientKey, paidAccountId }, limits) {
      dropExpired();
      if ((perClient.get(clientKey) ?? 0) >= limits.maxOutstandingPerClient)
        return { kind: 'full-for-client' };
      const total = entries.size + pending;
      if (total < limits.maxOutstanding * (1 - limits.reservedShare))
        return { kind: 'admitted', place: takePlace({ clientKey, reservedFor: undefined }) };
      if (paidAccountId === undefined || total >= limits.maxOutstanding) return { kind: 'full' };
      const held = reservedPerAccount.get(paidAccountId) ?? 0;
      if (held >= MAX_RESERVED_PER_ACCOUNT) return { kind: 'full' };
      return { kind: 'admitted', place: takePlace({ clientKey, reservedFor: paidAccountId }) };
    },
    paid(paymentHash) {
      const entry = entries.get(paymentHash);
      if (entry === undefined) return;
      entries.delete(paymentHash);
      leave(entry);
      entry.onPaid?.();
    },
    count: () => entries.size + pending,
  };
}

function countUp(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function countDown(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 1) - 1;
  if (left <= 0) counts.delete(key);
  else counts.set(key, left);
}

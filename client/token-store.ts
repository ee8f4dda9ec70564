import type { Msat } from '../node/msat.ts';

/**
 * One purchase, from before it was paid until its token is of no more use. Written before the payment (`pending`), so
 * that a crash at any moment leaves either nothing paid or a payment hash to look up.
 */
export interface TokenRecord {
  /** 64 lower-case hex digits: the key of the record. */
  readonly paymentHash: string;
  /** Scheme, host and port of the server. */
  readonly origin: string;
  /** Name of the service that was bought, as the macaroon says; empty when it says nothing. */
  readonly service: string;
  /** Where the token is known to be good: an exact path, or `/folder/*`. */
  readonly scopes: readonly string[];
  readonly scheme: 'L402' | 'LSAT';
  readonly macaroon: string;
  readonly invoice: string;
  readonly amountMsat: Msat;
  /** Unix seconds: the invoice can't be paid after it. */
  readonly invoiceExpiresAtSec: number;
  /** Unix seconds: the token is no good after it. Absent: not known. */
  readonly validUntilSec?: number;
  readonly createdAtMs: number;
  /** The server has answered something else than 402 to it. */
  readonly acceptedAtMs?: number;
  readonly state:
    | { readonly kind: 'pending' }
    /** 64 lower-case hex digits. */
    | { readonly kind: 'ready'; readonly preimage: string }
    /** The server answered 402 to it, or said that its balance is 0. */
    | { readonly kind: 'spent'; readonly preimage: string; readonly spentAtMs: number };
}

/** Where tokens are kept. Every verb is atomic, and what it wrote is durable when it resolves. */
export interface TokenStore {
  /** Every record of one origin, oldest first. */
  list(origin: string): Promise<readonly TokenRecord[]>;
  /** Adds a record, or replaces the one with its payment hash. A preimage that is known is never dropped. */
  put(record: TokenRecord): Promise<void>;
  /** Replaces one record by what `change` makes of it; `undefined` removes it. Does nothing when there is none. */
  update(paymentHash: string, change: (record: TokenRecord) => TokenRecord | undefined): Promise<void>;
}

/** A token store that ends with the process. What was bought and not used up is lost with it. */
export function createMemoryTokenStore(options: { readonly nowMs?: () => number } = {}): TokenStore {
  const nowMs = options.nowMs ?? Date.now;
  let records: readonly TokenRecord[] = [];
  return {
    list: async (origin) => records.filter((record) => record.origin === origin),
    put: async (record) => {
      records = pruneRecords(putRecord(records, record), nowMs());
    },
    update: async (paymentHash, change) => {
      records = updateRecord(records, paymentHash, change);
    },
  };
}

/** Longer than a gateway remembers an `Idempotency-Key`: until then a spent token can still fetch a lost answer. */
const KEEP_SPENT_MS = 15 * 60_000;
/** A token that was paid for and never accepted is kept until it would have expired anyway. */
const KEEP_UNUSED_MS = 30 * 86_400_000;

/** `records` with `record` in it: the rule of {@link TokenStore.put}. */
export function putRecord(records: readonly TokenRecord[], record: TokenRecord): readonly TokenRecord[] {
  const known = records.find(({ paymentHash }) => paymentHash === record.paymentHash);
  if (known === undefined) return [...records, record];
  const next = record.state.kind === 'pending' ? { ...record, state: known.state } : record;
  return records.map((other) => (other === known ? next : other));
}

/** `records` after one change: the rule of {@link TokenStore.update}. */
export function updateRecord(
  records: readonly TokenRecord[],
  paymentHash: string,
  change: (record: TokenRecord) => TokenRecord | undefined,
): readonly TokenRecord[] {
  return records.flatMap((record) => {
    if (record.paymentHash !== paymentHash) return [record];
    const next = change(record);
    return next === undefined ? [] : [next];
  });
}

/** Drops what can't be of use any more. Never a pending record: only a look at the wallet may. */
export function pruneRecords(records: readonly TokenRecord[], nowMs: number): readonly TokenRecord[] {
  return records.filter((record) => {
    if (record.state.kind === 'pending') return true;
    if (record.validUntilSec !== undefined && record.validUntilSec * 1000 + KEEP_SPENT_MS < nowMs)
      return false;
    if (record.state.kind === 'ready') return true;
    const keepMs = record.acceptedAtMs === undefined ? KEEP_UNUSED_MS : KEEP_SPENT_MS;
    return record.state.spentAtMs + keepMs > nowMs;
  });
}

/**
 * The URL space of a path: its folder, or the path itself at the top level, where a folder would mean the whole origin
 * and with it the services of other people.
 */
export function scopeOf(path: string): string {
  const end = path.lastIndexOf('/');
  return end <= 0 ? path : `${path.slice(0, end)}/*`;
}

/** Whether a path lies in the URL space that {@link scopeOf} names. */
export function covers(scope: string, path: string): boolean {
  return scope.endsWith('/*') ? path.startsWith(scope.slice(0, -1)) : scope === path;
}

/** The most specific scope that covers a path, as a number to compare; `-1` when none does. */
export function scopeMatch(record: TokenRecord, path: string): number {
  let best = -1;
  for (const scope of record.scopes) if (covers(scope, path)) best = Math.max(best, scope.length);
  return best;
}

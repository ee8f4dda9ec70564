/*
 * Names of keys. What stands in braces decides the slot on a Cluster, so that everything of an account lies together, and everything
 * that must be judged by payment hash alone. docs/redis-layout.md lists what each key holds.
 */

/** Begins every key; printable, without braces: they would decide the slot. */
export const DEFAULT_KEY_PREFIX = 'sluice:';

/** Offers that are open are listed in so many sets, by the first two digits of the payment hash. */
const OFFER_SHARDS = 256;

/** The keys of one account, all in its slot. */
export interface AccountKeys {
  readonly account: string;
  readonly leases: string;
  readonly endedLeases: string;
  /** Time that leases have paid for together. */
  readonly paidTime: string;
  readonly revocation: string;
  readonly offers: string;
  spend(key: string): string;
  attempt(key: string): string;
}

/** Names of keys under a prefix. */
export interface KeyNames {
  of(accountId: string): AccountKeys;
  account(accountId: string): string;
  spend(accountId: string, key: string): string;
  claim(paymentHash: string): string;
  offer(paymentHash: string): string;
  /** The set that lists the offer while it is open. */
  openOffers(paymentHash: string): string;
  /** All those sets, in the order of payment hashes. */
  readonly offerShards: readonly string[];
  readonly settings: string;
  readonly fingerprints: string;
  readonly revocationsByNumber: string;
  readonly revocationsByEnd: string;
  /** A pattern for SCAN: every key of an account or a claim. */
  readonly pattern: string;
  /** As {@link KeyNames.pattern}, and offers too. */
  readonly recordPattern: string;
  /** A pattern for SCAN: every key of that kind. */
  patternOf(kind: 'account' | 'claim' | 'offer'): string;
  /** What a key that SCAN found by {@link KeyNames.recordPattern} is. */
  readRecord(key: string): { readonly kind: 'account' | 'claim' | 'offer'; readonly id: string } | undefined;
  /** What a key that SCAN found is; `undefined` when it is of no interest there. */
  read(key: string): { readonly kind: 'account' | 'claim'; readonly id: string } | undefined;
}

/** The names of keys that begin with `prefix`. */
export function keyNames(prefix: string): KeyNames {
  const shardName = (digits: string) => `${prefix}{offers:${digits}}`;
  const offerShards = Array.from({ length: OFFER_SHARDS }, (_, n) =>
    shardName(n.toString(16).padStart(2, '0')),
  );
  const readable = new RegExp(`^${literally(prefix)}\\{([0-9a-f]{2,128})\\}([aco])$`);
  const escaped = prefix.replaceAll(/[*?[\]\\]/g, '\\$&');
  return {
    of: (accountId) => accountKeys(`${prefix}{${accountId}}`),
    account: (accountId) => `${prefix}{${accountId}}a`,
    spend: (accountId, key) => `${prefix}{${accountId}}k${key}`,
    claim: (paymentHash) => `${prefix}{${paymentHash}}c`,
    offer: (paymentHash) => `${prefix}{${paymentHash}}o`,
    openOffers: (paymentHash) => shardName(paymentHash.slice(0, 2)),
    offerShards,
    settings: `${prefix}{sluice}settings`,
    fingerprints: `${prefix}{sluice}fingerprints`,
    revocationsByNumber: `${prefix}{sluice}revocations`,
    revocationsByEnd: `${prefix}{sluice}revocation-ends`,
    pattern: `${escaped}{*}[ac]`,
    recordPattern: `${escaped}{*}[aco]`,
    patternOf: (kind) => `${escaped}{*}${kind.charAt(0)}`,
    readRecord(key) {
      const [, id, kind] = readable.exec(key) ?? [];
      if (id === undefined) return undefined;
      return { kind: kind === 'a' ? 'account' : kind === 'c' ? 'claim' : 'offer', id };
    },
    read(key) {
      const [, id, kind] = readable.exec(key) ?? [];
      if (id === undefined || kind === 'o') return undefined;
      return { kind: kind === 'a' ? 'account' : 'claim', id };
    },
  };
}

function accountKeys(base: string): AccountKeys {
  return {
    account: `${base}a`,
    leases: `${base}l`,
    endedLeases: `${base}e`,
    paidTime: `${base}p`,
    revocation: `${base}v`,
    // Not the name of an offer: an account may be named as a payment hash.
    offers: `${base}q`,
    spend: (key) => `${base}k${key}`,
    attempt: (key) => `${base}t${key}`,
  };
}

function literally(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/**
 * The field of an account that holds a credit: 44 characters, because a field of more than 64 makes the whole account take three
 * times the memory (`hash-max-listpack-value`).
 */
export function creditField(creditKey: string): string {
  const kind = creditKey.endsWith(':excess') ? '+' : '=';
  return kind + Buffer.from(creditKey.slice(0, 64), 'hex').toString('base64url');
}

/** The credit key that a field of an account holds; `undefined`: the field is none of a credit. */
export function readCreditField(field: string): string | undefined {
  if (!/^[=+][\w-]{43}$/.test(field)) return undefined;
  const hash = Buffer.from(field.slice(1), 'base64url').toString('hex');
  return field.startsWith('+') ? `${hash}:excess` : hash;
}

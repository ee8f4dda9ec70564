import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Bus, noBus } from '../bus/bus.ts';
import { clockWatch } from './clock-watch.ts';
import { readLastSeen, writeLastSeen } from './last-seen.ts';
import { repeat } from './repeat.ts';
import { type RevocationSet, revocationSet } from './revocations.ts';
import type { Store, StoreError } from './store.ts';
import { type StoreWatch, storeWatch } from './store-watch.ts';

const DEFAULT_REVOCATION_POLL_MS = 500;
const DEFAULT_CLOCK_POLL_MS = 1_000;
const DEFAULT_PURGE_EVERY_MS = 60_000;
/** Calls of purge in one round; what is left then waits for the next. */
const MAX_PURGES = 2_000;

/** What the gateway does with the ledger: the store's verbs, and what must be known without asking the store. */
export interface Ledger
  extends Pick<
    Store,
    | 'claim'
    | 'credit'
    | 'redeem'
    | 'spend'
    | 'voidSpend'
    | 'refundSpend'
    | 'beginAttempt'
    | 'endAttempt'
    | 'voidAttempt'
    | 'reserve'
    | 'commit'
    | 'release'
    | 'clockMs'
    | 'account'
    | 'revoke'
    | 'offer'
    | 'settleOffer'
    | 'openOffers'
    | 'offersOf'
    | 'dropOffer'
    | 'paymentEntries'
    | 'purgeWatermark'
    | 'settlementCursor'
    | 'advanceSettlementCursor'
    | 'totals'
    | 'ping'
  > {
  /** The store's generation, hex: part of every root key. */
  readonly generation: string;
  /** True when the account is revoked, as of the last poll. */
  isRevoked(accountId: string): boolean;
  /** Seconds by which the store's clock is ahead of this machine's, as of the last look; over MAX_CLOCK_AHEAD_SEC nothing may be sold. */
  clockAheadSec(): number;
  /** Why nothing may be sold or charged: the store is not the one that was opened, any more; undefined: it is. As of the last look. */
  mismatch(): StoreError | undefined;
  /**
   * For what is served without asking the store: a pass that was redeemed before.
   * @throws StoreError when the store is another one, or has been silent for longer than `passGraceMs`
   */
  requireStanding(): void;
  /** A key for a spend, an attempt or a lease that no other gateway and no other request has. */
  nextKey(): string;
  /** Stops the timers and waits for what they began. The store stays open: it belongs to who opened it. */
  close(): Promise<void>;
}

/** What a ledger needs. */
export interface LedgerOptions {
  readonly store: Store;
  /** Where the store is, for messages. */
  readonly storeName: string;
  /** Fingerprints of the master keys (`keyFingerprint` of gateway/l402/root-key.ts). */
  readonly keyFingerprints: readonly string[];
  /** Where `ledger.json` is kept; absent for a store that does not outlive the process. */
  readonly dataDir?: string;
  readonly nowMs: () => number;
  /** Tells the other gateways on this store of revocations, and is told of theirs; absent: it is alone. */
  readonly bus?: Bus;
  /** Default 500 ms, for what the bus lost: a revocation reaches live streams and passes within a second. */
  readonly revocationPollMs?: number;
  /** Default 1,000 ms: what is sold until a wrong clock is noticed can't be redeemed. */
  readonly clockPollMs?: number;
  /** Default 60,000 ms. */
  readonly purgeEveryMs?: number;
  /** Who forgets what is over: this process (the default), or another one on the same store. */
  readonly purging?: 'here' | 'elsewhere';
  /** Told when work in the background failed; it is tried again at its next turn. */
  readonly onError?: (task: 'revocations' | 'purge' | 'clock', error: unknown) => void;
  /** Told when the store's clock is found too far ahead, in seconds, and (`undefined`) when it is not any more. */
  readonly onClock?: (aheadSec: number | undefined) => void;
  /** How long passes are served while the store is silent, ms; absent: for ever. */
  readonly passGraceMs?: number;
  /** Told when the store is found to be another one than was opened, and (`undefined`) when the right one is back. */
  readonly onMismatch?: (error: StoreError | undefined) => void;
}

/** The store does not belong to this gateway's keys or data folder. The message says what to do. */
export class StoreMismatchError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StoreMismatchError';
  }
}

/**
 * Opens the ledger over a store: checks that store, keys and data folder belong together, loads the revocations, and starts
 * to poll and purge.
 * @throws StoreMismatchError when they do not belong together
 * @throws StoreError
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { store, dataDir, bus = noBus(), onError = () => {} } = options;
  const generation = await checkStore(options);
  await admit(options);
  if (dataDir !== undefined) await markSeen(store, dataDir);
  const revocations = revocationSet(store);
  await revocations.refresh();
  const clock = clockWatch(store, options.nowMs, options.onClock ?? (() => {}));
  await clock.refresh();
  const identity = storeWatch({
    store,
    nowMs: options.nowMs,
    passGraceMs: options.passGraceMs ?? Number.POSITIVE_INFINITY,
    onMismatch: options.onMismatch ?? (() => {}),
  });
  const watching = repeat({
    everyMs: options.clockPollMs ?? DEFAULT_CLOCK_POLL_MS,
    task: async () => {
      await identity.refresh();
      if (identity.mismatch() !== undefined) return;
      await clock.refresh();
      identity.answered();
    },
    onError: (error) => onError('clock', error),
  });
  const polling = repeat({
    everyMs: options.revocationPollMs ?? DEFAULT_REVOCATION_POLL_MS,
    task: async () => {
      if (identity.mismatch() === undefined) await revocations.refresh();
    },
    onError: (error) => onError('revocations', error),
  });
  const purging = repeat({
    everyMs: options.purgeEveryMs ?? DEFAULT_PURGE_EVERY_MS,
    task: async () => {
      // What forgot its claims must not have its clock or epoch raised.
      if (identity.mismatch() !== undefined) return;
      try {
        if (options.purging !== 'elsewhere') await purgeAll(store);
        // A purge is what makes a wrong clock last.
        await clock.refresh();
        // By the earlier clock: what is forgotten here is not read again, and one machine's clock may be wrong for a minute.
        revocations.prune(Math.min(Math.floor(options.nowMs() / 1000), await store.clock()));
      } finally {
        // Also when a damaged account stops the purge: an older copy must be known by its epoch all the same.
        if (dataDir !== undefined) await markSeen(store, dataDir);
      }
    },
    onError: (error) => onError('purge', error),
  });
  const stopListening = bus.subscribe(({ kind }) => {
    // The store, not the message, says who is revoked.
    if (kind !== 'revoked' && kind !== 'missed') return;
    const heard = kind === 'missed' ? revocations.reread() : revocations.refresh();
    heard.catch((error: unknown) => onError('revocations', error));
  });
  return {
    ...verbsOf(store, revocations, bus, identity),
    generation,
    mismatch: identity.mismatch,
    requireStanding: identity.requireStanding,
    isRevoked: (accountId) => revocations.has(accountId),
    clockAheadSec: clock.aheadSec,
    nextKey: keyMaker(),
    close: async () => {
      stopListening();
      await Promise.all([watching.stop(), polling.stop(), purging.stop()]);
    },
  };
}

/**
 * Makes a new generation, and has the data folder accept the store: for `sluice store new-generation`. Every credential
 * minted so far is void.
 * @returns the new generation
 * @throws StoreError
 */
export async function renewGeneration(store: Store, dataDir: string): Promise<string> {
  const generation = await store.newGeneration();
  await writeLastSeen(dataDir, { generation, epoch: await store.nextEpoch() });
  return generation;
}

/** Outcome of {@link acceptCopy}. */
export type CopyAcceptance =
  /** It is no older copy: nothing was changed. */
  | { readonly kind: 'current' }
  /** It is another store: a copy of another generation is never accepted. */
  | { readonly kind: 'another-store' }
  | { readonly kind: 'older' | 'accepted'; readonly epoch: number; readonly seenEpoch: number };

/**
 * Has the data folder take an older copy of its store for the present one: for `sluice store accept-copy`. What was sold stays good; what
 * the copy has forgotten can be presented or spent a second time.
 * @param how - `look` changes nothing
 * @throws StoreError
 */
export async function acceptCopy(
  store: Pick<Store, 'generation' | 'epoch'>,
  dataDir: string,
  how: 'look' | 'accept',
): Promise<CopyAcceptance> {
  const seen = await readLastSeen(dataDir);
  const [generation, epoch] = [await store.generation(), await store.epoch()];
  if (seen === undefined) return { kind: 'current' };
  if (seen.generation !== generation) return { kind: 'another-store' };
  if (epoch >= seen.epoch) return { kind: 'current' };
  if (how === 'look') return { kind: 'older', epoch, seenEpoch: seen.epoch };
  await writeLastSeen(dataDir, { generation, epoch });
  return { kind: 'accepted', epoch, seenEpoch: seen.epoch };
}

/** What tells whether a store is the one that a data folder knows. */
export interface StoreIdentity {
  readonly store: Pick<Store, 'generation' | 'epoch'>;
  readonly storeName: string;
  readonly dataDir?: string;
}

/**
 * Compares a store with what the data folder saw last, and changes nothing: an older copy of a store has forgotten claims and
 * debits, and would sell them again. It is known by its lower epoch.
 * @returns the store's generation
 * @throws StoreMismatchError, StoreError
 */
export async function checkStore({ store, storeName, dataDir }: StoreIdentity): Promise<string> {
  const generation = await store.generation();
  if (dataDir === undefined) return generation;
  const seen = await readLastSeen(dataDir);
  if (seen !== undefined && seen.generation !== generation) {
    throw new StoreMismatchError(
      `The store at ${storeName} is not the one that this gateway used last (${dataDir}/ledger.json names another ` +
        'generation). Restore that store, or accept this one with `sluice store new-generation`: credit sold so far is then void. When that ' +
        'was done for another gateway on this store already, delete that file instead.',
    );
  }
  // Judged before it is raised: a refused copy must not catch up with what was seen by being started again and again.
  const epoch = await store.epoch();
  if (seen !== undefined && epoch < seen.epoch) {
    throw new StoreMismatchError(
      `The store at ${storeName} is an older copy of the one that this gateway used last (epoch ${epoch}, last seen ` +
        `${seen.epoch}): it has forgotten payments and would sell them again. Restore the newest copy, or accept this one: with ` +
        '`sluice store new-generation`, which voids all credit sold so far, or with `sluice store accept-copy`, which keeps it and takes ' +
        'the loss.',
    );
  }
  return generation;
}

async function admit({ store, storeName, keyFingerprints }: LedgerOptions): Promise<void> {
  const { kind } = await store.admitMasterKeys(keyFingerprints);
  if (kind !== 'unknown') return;
  throw new StoreMismatchError(
    `The store at ${storeName} was written with another master key: no credential sold so far would be recognised. Restore ` +
      'the key file or the configured keys; a further gateway on this store needs the key of the first one (its master.key, or the same ' +
      '`masterKeys`). If that key is lost, run `sluice store new-generation`: credit sold so far is then void.',
  );
}

/** Raised while the gateway runs too, so that a copy made an hour ago is noticed, not only one made before the last start. */
async function markSeen(store: Store, dataDir: string): Promise<void> {
  const epoch = await store.nextEpoch();
  await writeLastSeen(dataDir, { generation: await store.generation(), epoch });
}

async function purgeAll(store: Store): Promise<void> {
  for (let call = 0; call < MAX_PURGES; call += 1) {
    const { more } = await store.purge();
    if (!more) return;
    await nextTurn();
  }
}

/** Nearly in order, because the store appends keys that are; the random part is this process's own. */
function keyMaker(): () => string {
  const prefix = randomBytes(9).toString('base64url');
  let count = 0;
  return () => {
    count += 1;
    return `${prefix}:${count.toString(36)}`;
  };
}

type Verbs = Omit<
  Ledger,
  'generation' | 'isRevoked' | 'clockAheadSec' | 'mismatch' | 'requireStanding' | 'nextKey' | 'close'
>;

function verbsOf(store: Store, revocations: RevocationSet, bus: Bus, { mismatch }: StoreWatch): Verbs {
  /** What the store refuses in a part of it, nothing does in the rest. */
  const guard =
    <A extends readonly unknown[], R>(verb: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> => {
      const why = mismatch();
      return why === undefined ? verb(...args) : Promise.reject(why);
    };
  return {
    claim: guard(store.claim),
    credit: guard(store.credit),
    redeem: guard(store.redeem),
    spend: guard(store.spend),
    voidSpend: guard(store.voidSpend),
    refundSpend: guard(store.refundSpend),
    beginAttempt: guard(store.beginAttempt),
    endAttempt: guard(store.endAttempt),
    voidAttempt: guard(store.voidAttempt),
    reserve: guard(store.reserve),
    commit: guard(store.commit),
    release: guard(store.release),
    clockMs: guard(store.clockMs),
    account: guard(store.account),
    offer: guard(store.offer),
    settleOffer: guard(store.settleOffer),
    openOffers: guard(store.openOffers),
    offersOf: guard(store.offersOf),
    dropOffer: guard(store.dropOffer),
    paymentEntries: guard(store.paymentEntries),
    purgeWatermark: guard(store.purgeWatermark),
    settlementCursor: guard(store.settlementCursor),
    advanceSettlementCursor: guard(store.advanceSettlementCursor),
    totals: guard(store.totals),
    ping: guard(store.ping),
    // Neither this gateway nor the others need to wait for their polls.
    revoke: guard(async (accountId: string, untilSec: number) => {
      await store.revoke(accountId, untilSec);
      revocations.add(accountId, untilSec);
      bus.publish({ kind: 'revoked', accountId });
    }),
  };
}

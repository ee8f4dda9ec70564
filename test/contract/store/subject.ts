import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Account, Claim, Store, StoreErrorCode } from '../../../gateway/ledger/store.ts';
import { StoreError } from '../../../gateway/ledger/store.ts';
import { type Msat, msat } from '../../../node/msat.ts';
import { type ManualClock, manualClock } from '../../support/clock.ts';

/** One place where a store keeps its data: a file, a database, a process. */
export interface StoreBackend {
  /** Opens the store on this place; a second time, when the first was closed. */
  open(): Promise<Store>;
  /** True when what was written is there after the store was closed and opened again. */
  readonly persistent: boolean;
  /**
   * `purge`: keys, claims, credits and offers that are over are forgotten by purge, which counts them. `timers`: by timers of the server
   * (absent: purge), whose clock is not the one of the test: they count for nothing from then on, and purge has none to report.
   */
  readonly forgetting?: 'purge' | 'timers';
  /** Removes what is left. */
  remove(): Promise<void>;
}

/** Makes a new, empty place, whose store runs by the clock. */
export type OpenBackend = (clock: ManualClock) => Promise<StoreBackend>;

/** What each contract test is given. */
export interface Subject {
  readonly store: Store;
  readonly clock: ManualClock;
  readonly backend: StoreBackend;
  /** For a test that closed its store: hands over the one to check and close at the end. */
  reopened(store: Store): void;
}

/** Declares one contract test of a store of its own. */
export type ContractTest = (title: string, body: (subject: Subject) => Promise<void>) => void;

export function contractTest(name: string, openBackend: OpenBackend): ContractTest {
  return (title, body) => {
    test(`${name}: ${title}`, async () => {
      const clock = manualClock();
      const backend = await openBackend(clock);
      const first = await backend.open();
      let last = first;
      const reopened = (store: Store) => {
        last = store;
      };
      try {
        await body({ store: first, clock, backend, reopened });
        await assertBalanced(last);
      } finally {
        await last.close();
        await backend.remove();
      }
    });
  };
}

export const DAY_SEC = 24 * 3600;
export const SERVICE = 'quote';

/** 64 hex digits from a small number. */
export function hash(n: number): string {
  return n.toString(16).padStart(64, '0');
}

export const ALICE = hash(0xa11ce);
export const BOB = hash(0xb0b);

/** Terms that end in 30 days. */
export function claimOf({ clock }: Pick<Subject, 'clock'>, change: Partial<Claim> = {}): Claim {
  return {
    paymentHash: hash(1),
    accountId: ALICE,
    service: SERVICE,
    creditMsat: msat(10_000),
    expiresAtSec: clock.nowSec() + 30 * DAY_SEC,
    ...change,
  };
}

let payments = 0x1000;

/** Gives an account credit for 30 days. */
export async function fund(subject: Subject, accountId: string, amountMsat: number): Promise<void> {
  payments += 1;
  const claim = claimOf(subject, { accountId, creditMsat: msat(amountMsat), paymentHash: hash(payments) });
  assert.deepEqual(await subject.store.redeem(claim), { kind: 'claimed' });
}

/** The account, which must be there. */
export async function accountOf(store: Store, accountId: string): Promise<Account> {
  const account = await store.account(accountId);
  assert.ok(account, 'the account is there');
  assert.equal(
    account.creditedMsat,
    account.spentMsat + account.reservedMsat + account.expiredMsat + account.balanceMsat,
  );
  return account;
}

export async function balanceOf(store: Store, accountId: string): Promise<Msat> {
  return (await accountOf(store, accountId)).balanceMsat;
}

/** The invariant of the port, over the whole store. */
export async function assertBalanced(store: Store): Promise<void> {
  const { creditedMsat, spentMsat, reservedMsat, expiredMsat, balanceMsat } = await store.totals();
  assert.equal(creditedMsat, spentMsat + reservedMsat + expiredMsat + balanceMsat);
}

/** That a verb rejects with the store's own error, and with this code. */
export async function assertStoreError(code: StoreErrorCode, verb: Promise<unknown>): Promise<StoreError> {
  const error = await verb.then(
    () => assert.fail(`resolved, where StoreError '${code}' was expected`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StoreError, String(error));
  assert.equal(error.code, code);
  return error;
}

/** Purges until nothing more is due. */
export async function purgeAll(store: Store): Promise<void> {
  for (let call = 0; call < 100; call += 1) {
    const { more } = await store.purge();
    if (!more) return;
  }
  assert.fail('purge did not come to an end');
}

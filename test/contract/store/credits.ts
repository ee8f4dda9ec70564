import assert from 'node:assert/strict';
import type { Credit } from '../../../gateway/ledger/store.ts';
import { msat } from '../../../node/msat.ts';
import {
  ALICE,
  accountOf,
  assertStoreError,
  BOB,
  balanceOf,
  type ContractTest,
  claimOf,
  DAY_SEC,
  hash,
  purgeAll,
  SERVICE,
  type Subject,
} from './subject.ts';

function creditOf({ clock }: Subject, change: Partial<Credit> = {}): Credit {
  return {
    creditKey: hash(1),
    accountId: ALICE,
    service: SERVICE,
    amountMsat: msat(10_000),
    expiresAtSec: clock.nowSec() + 30 * DAY_SEC,
    ...change,
  };
}

/** Claims, credits, and both in one. */
export function creditContract(it: ContractTest): void {
  it('a first claim is claimed, the same one again is repeated, and neither credits', async (subject) => {
    const { store } = subject;
    assert.deepEqual(await store.claim(claimOf(subject)), { kind: 'claimed' });
    assert.deepEqual(await store.claim(claimOf(subject)), { kind: 'repeated' });
    assert.equal(await store.account(ALICE), undefined);
    assert.equal((await store.totals()).claims, 1);
  });

  it('a payment that was claimed is taken for every other account and for all other terms', async (subject) => {
    const { store } = subject;
    await store.redeem(claimOf(subject));
    const others = [
      claimOf(subject, { accountId: BOB }),
      claimOf(subject, { creditMsat: msat(10_001) }),
      claimOf(subject, { creditMsat: msat(0) }),
      claimOf(subject, { service: 'pack' }),
      claimOf(subject, { expiresAtSec: claimOf(subject).expiresAtSec + 1 }),
    ];
    for (const other of others) {
      assert.deepEqual(await store.claim(other), { kind: 'taken' });
      assert.deepEqual(await store.redeem(other), { kind: 'taken' });
    }
    assert.equal(await store.account(BOB), undefined);
    assert.equal(await balanceOf(store, ALICE), 10_000);
  });

  it('of a hundred accounts that claim one payment at once, the first writer wins', async (subject) => {
    const { store } = subject;
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, n) => store.redeem(claimOf(subject, { accountId: hash(0x500 + n) }))),
    );
    assert.equal(outcomes.filter(({ kind }) => kind === 'claimed').length, 1);
    assert.equal(outcomes.filter(({ kind }) => kind === 'taken').length, 99);
    assert.equal((await store.totals()).creditedMsat, 10_000);
  });

  it('redeem opens the account with its credit, once however often it is presented', async (subject) => {
    const { store } = subject;
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => store.redeem(claimOf(subject))));
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['claimed', ...Array.from({ length: 19 }, () => 'repeated')],
    );
    assert.deepEqual(await accountOf(store, ALICE), {
      accountId: ALICE,
      service: SERVICE,
      creditedMsat: 10_000,
      spentMsat: 0,
      reservedMsat: 0,
      expiredMsat: 0,
      balanceMsat: 10_000,
      expiresAtSec: claimOf(subject).expiresAtSec,
      revoked: false,
    });
  });

  it('redeem credits what was claimed before and not yet credited', async (subject) => {
    const { store } = subject;
    await store.claim(claimOf(subject));
    assert.deepEqual(await store.redeem(claimOf(subject)), { kind: 'repeated' });
    assert.equal(await balanceOf(store, ALICE), 10_000);
  });

  it('a pass is claimed and credits nothing', async (subject) => {
    const { store } = subject;
    const pass = claimOf(subject, { creditMsat: msat(0) });
    assert.deepEqual(await store.redeem(pass), { kind: 'claimed' });
    assert.deepEqual(await store.redeem(pass), { kind: 'repeated' });
    assert.equal(await store.account(ALICE), undefined);
  });

  it('a credit counts once by its key, and several keys add up', async (subject) => {
    const { store } = subject;
    const first = await store.credit(creditOf(subject));
    assert.equal(first.kind, 'credited');
    const again = await store.credit(creditOf(subject));
    assert.equal(again.kind, 'repeated');
    assert.ok(again.kind === 'repeated');
    assert.equal(again.account.balanceMsat, 10_000);
    await store.credit(creditOf(subject, { creditKey: `${hash(1)}:excess`, amountMsat: msat(7) }));
    assert.equal(await balanceOf(store, ALICE), 10_007);
  });

  it('an account lives as long as its latest credit', async (subject) => {
    const { store, clock } = subject;
    const end = clock.nowSec() + DAY_SEC;
    await store.credit(creditOf(subject, { expiresAtSec: end }));
    await store.credit(creditOf(subject, { creditKey: hash(2), expiresAtSec: end + 5 }));
    await store.credit(creditOf(subject, { creditKey: hash(3), expiresAtSec: end - 5 }));
    assert.equal((await accountOf(store, ALICE)).expiresAtSec, end + 5);
  });

  it('a claim or credit that ends now or before is too late and changes nothing', async (subject) => {
    const { store, clock } = subject;
    const expiresAtSec = clock.nowSec();
    assert.deepEqual(await store.claim(claimOf(subject, { expiresAtSec })), { kind: 'too-late' });
    assert.deepEqual(await store.redeem(claimOf(subject, { expiresAtSec })), { kind: 'too-late' });
    assert.deepEqual(await store.credit(creditOf(subject, { expiresAtSec })), { kind: 'too-late' });
    assert.deepEqual(await store.redeem(claimOf(subject, { expiresAtSec: expiresAtSec + 1 })), {
      kind: 'claimed',
    });
  });

  it('a credit after the end opens the account again with the new credit alone', async (subject) => {
    const { store, clock } = subject;
    await store.credit(creditOf(subject, { expiresAtSec: clock.nowSec() + 10 }));
    clock.advanceSec(10);
    await store.credit(creditOf(subject, { creditKey: hash(2), amountMsat: msat(3_000) }));
    const account = await accountOf(store, ALICE);
    assert.equal(account.balanceMsat, 3_000);
    assert.equal(account.expiredMsat, 10_000);
    const spent = await store.spend({ accountId: ALICE, key: 'k', amountMsat: msat(3_000) });
    assert.deepEqual(spent, { kind: 'spent', balanceMsat: 0 });
  });

  it('a credit to an account of another service is invalid and leaves no claim behind', async (subject) => {
    const { store } = subject;
    await store.redeem(claimOf(subject));
    const other = claimOf(subject, { paymentHash: hash(2), service: 'pack' });
    await assertStoreError('invalid', store.redeem(other));
    await assertStoreError(
      'invalid',
      store.credit(creditOf(subject, { creditKey: hash(3), service: 'pack' })),
    );
    assert.equal((await store.totals()).claims, 1);
    assert.equal(await balanceOf(store, ALICE), 10_000);
  });

  it('an account never holds more than a safe integer', async (subject) => {
    const { store } = subject;
    const most = msat(Number.MAX_SAFE_INTEGER);
    await store.credit(creditOf(subject, { amountMsat: most }));
    await assertStoreError(
      'invalid',
      store.credit(creditOf(subject, { creditKey: hash(2), amountMsat: msat(1) })),
    );
    assert.equal(await balanceOf(store, ALICE), most);
  });

  it('a credential bought, spent, purged and presented again buys nothing', async (subject) => {
    const { store, clock } = subject;
    const claim = claimOf(subject, { expiresAtSec: clock.nowSec() + 60 });
    await store.redeem(claim);
    await store.spend({ accountId: ALICE, key: 'k', amountMsat: msat(10_000) });
    clock.advanceSec(60 + DAY_SEC);
    await purgeAll(store);
    assert.deepEqual((await store.totals()).claims, 0);
    assert.equal(await store.account(ALICE), undefined);
    assert.deepEqual(await store.redeem(claim), { kind: 'too-late' });
    assert.deepEqual(await store.credit(creditOf(subject, { expiresAtSec: claim.expiresAtSec })), {
      kind: 'too-late',
    });
    assert.equal(await store.account(ALICE), undefined);
  });
}

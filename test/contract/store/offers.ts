import assert from 'node:assert/strict';
import type { Offer } from '../../../gateway/ledger/store.ts';
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
  fund,
  hash,
  purgeAll,
  SERVICE,
  type Subject,
} from './subject.ts';

function offerOf({ clock }: Subject, change: Partial<Offer> = {}): Offer {
  return {
    paymentHash: hash(0x70),
    accountId: ALICE,
    service: SERVICE,
    amountMsat: msat(5_000),
    invoiceExpiresAtSec: clock.nowSec() + 600,
    creditExpiresAtSec: clock.nowSec() + 40 * DAY_SEC,
    ...change,
  };
}

/** Top-ups: asked for, settled by the feed, or brought by the client itself. */
export function offerContract(it: ContractTest): void {
  askingContract(it);
  settlingContract(it);
}

function askingContract(it: ContractTest): void {
  it('an offer is for a funded account only', async (subject) => {
    const { store, clock } = subject;
    assert.deepEqual(await store.offer(offerOf(subject), 3), { kind: 'unknown-account' });
    await fund(subject, ALICE, 100);
    await fund(subject, BOB, 100);
    assert.deepEqual(await store.offer(offerOf(subject), 3), { kind: 'offered' });
    assert.deepEqual(await store.offer(offerOf(subject), 3), { kind: 'repeated' });
    await store.revoke(ALICE, clock.nowSec() + DAY_SEC);
    assert.deepEqual(await store.offer(offerOf(subject, { paymentHash: hash(0x71) }), 3), {
      kind: 'revoked',
    });
    clock.advanceSec(30 * DAY_SEC);
    const bobs = offerOf(subject, { paymentHash: hash(0x72), accountId: BOB });
    assert.deepEqual(await store.offer(bobs, 3), { kind: 'expired' });
  });

  it('an account has a few offers outstanding, counting those that can still be paid', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 100);
    assert.equal((await store.offer(offerOf(subject), 2)).kind, 'offered');
    assert.equal((await store.offer(offerOf(subject, { paymentHash: hash(0x71) }), 2)).kind, 'offered');
    const third = offerOf(subject, { paymentHash: hash(0x72) });
    assert.deepEqual(await store.offer(third, 2), { kind: 'too-many' });
    await store.settleOffer(hash(0x71), msat(5_000));
    assert.deepEqual(await store.offer(third, 2), { kind: 'offered' });
    clock.advanceSec(600);
    const fourth = offerOf(subject, { paymentHash: hash(0x73) });
    assert.deepEqual(await store.offer(fourth, 1), { kind: 'offered' });
  });

  it('a payment hash is offered on one set of terms, for an account of that service', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 100);
    await store.offer(offerOf(subject), 3);
    await assertStoreError('invalid', store.offer(offerOf(subject, { amountMsat: msat(5_001) }), 3));
    await assertStoreError(
      'invalid',
      store.offer(offerOf(subject, { paymentHash: hash(2), service: 'pack' }), 3),
    );
    const over = { paymentHash: hash(3), invoiceExpiresAtSec: 1, creditExpiresAtSec: clock.nowSec() };
    await assertStoreError('invalid', store.offer(offerOf(subject, over), 3));
  });

  it('an account is shown its offers that can still be paid, and no others', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 100);
    await fund(subject, BOB, 100);
    const late = { paymentHash: hash(2), invoiceExpiresAtSec: clock.nowSec() + 900 };
    await store.offer(offerOf(subject, { paymentHash: hash(1) }), 10);
    await store.offer(offerOf(subject, late), 10);
    await store.offer(offerOf(subject, { paymentHash: hash(3) }), 10);
    await store.offer(offerOf(subject, { paymentHash: hash(4), accountId: BOB }), 10);
    await store.settleOffer(hash(3), msat(5_000));
    const first = offerOf(subject, { paymentHash: hash(1) });
    assert.deepEqual(await store.offersOf(ALICE), [offerOf(subject, late), first]);
    clock.advanceSec(600);
    assert.deepEqual(
      (await store.offersOf(ALICE)).map(({ paymentHash }) => paymentHash),
      [hash(2)],
    );
    assert.deepEqual(await store.offersOf(hash(0xdead)), []);
  });

  it('open offers are read page by page, by payment hash', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 100);
    for (const n of [5, 3, 1, 4, 2]) await store.offer(offerOf(subject, { paymentHash: hash(n) }), 10);
    await store.settleOffer(hash(3), msat(5_000));
    await store.dropOffer(hash(4));
    await store.dropOffer(hash(0xffff));
    const first = await store.openOffers('', 2);
    assert.deepEqual(first, [
      offerOf(subject, { paymentHash: hash(1) }),
      offerOf(subject, { paymentHash: hash(2) }),
    ]);
    const second = await store.openOffers(hash(2), 2);
    assert.deepEqual(second, [offerOf(subject, { paymentHash: hash(5) })]);
    assert.deepEqual(await store.settleOffer(hash(4), msat(5_000)), { kind: 'no-offer' });
  });
}

function settlingContract(it: ContractTest): void {
  it('the feed credits only what was offered, once', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 100);
    assert.deepEqual(await store.settleOffer(hash(0x70), msat(5_000)), { kind: 'no-offer' });
    await store.offer(offerOf(subject), 3);
    assert.deepEqual(await store.settleOffer(hash(0x70), msat(4_999)), { kind: 'underpaid' });
    const settled = await store.settleOffer(hash(0x70), msat(5_000));
    assert.ok(settled.kind === 'credited');
    assert.deepEqual([settled.account.balanceMsat, settled.creditedMsat], [5_100, 5_000]);
    assert.equal(settled.account.expiresAtSec, offerOf(subject).creditExpiresAtSec);
    const again = await store.settleOffer(hash(0x70), msat(5_000));
    assert.ok(again.kind === 'repeated');
    assert.deepEqual([again.account.balanceMsat, again.creditedMsat], [5_100, 0]);
    await store.dropOffer(hash(0x70));
    assert.equal((await store.settleOffer(hash(0x70), msat(5_000))).kind, 'repeated');
  });

  it('what was overpaid is credited too, whoever came first', async (subject) => {
    const { store } = subject;
    const { creditExpiresAtSec: expiresAtSec } = offerOf(subject);
    const terms = { creditMsat: msat(5_000), expiresAtSec };
    await fund(subject, ALICE, 100);
    await store.offer(offerOf(subject), 9);
    await store.settleOffer(hash(0x70), msat(5_007));
    assert.deepEqual(await store.redeem(claimOf(subject, { ...terms, paymentHash: hash(0x70) })), {
      kind: 'claimed',
    });
    assert.equal(await balanceOf(store, ALICE), 5_107);
    await store.offer(offerOf(subject, { paymentHash: hash(0x71) }), 9);
    await store.redeem(claimOf(subject, { ...terms, paymentHash: hash(0x71) }));
    assert.equal(await balanceOf(store, ALICE), 10_107);
    const excess = await store.settleOffer(hash(0x71), msat(5_003));
    assert.deepEqual([excess.kind, excess.kind === 'credited' && excess.creditedMsat], ['credited', 3]);
    assert.equal((await store.settleOffer(hash(0x71), msat(5_003))).kind, 'repeated');
    assert.equal(await balanceOf(store, ALICE), 10_110);
  });

  it('a payment that preimage and feed bring at once is credited once', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 100);
    await store.offer(offerOf(subject), 3);
    const expiresAtSec = offerOf(subject).creditExpiresAtSec;
    const claim = claimOf(subject, { paymentHash: hash(0x70), creditMsat: msat(5_000), expiresAtSec });
    await Promise.all([
      store.settleOffer(hash(0x70), msat(5_000)),
      store.redeem(claim),
      store.settleOffer(hash(0x70), msat(5_000)),
      store.redeem(claim),
    ]);
    assert.equal(await balanceOf(store, ALICE), 5_100);
  });

  it('an offer outlives its account, which opens again when it is paid', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 100);
    await store.offer(offerOf(subject), 3);
    clock.advanceSec(31 * DAY_SEC);
    await purgeAll(store);
    assert.equal(await store.account(ALICE), undefined);
    assert.equal((await store.settleOffer(hash(0x70), msat(5_000))).kind, 'credited');
    assert.equal((await accountOf(store, ALICE)).balanceMsat, 5_000);
  });

  it('an offer that is settled after its credit ended is closed, and purged in the end', async (subject) => {
    const { store, clock, backend } = subject;
    await fund(subject, ALICE, 100);
    await store.offer(offerOf(subject), 3);
    clock.advanceSec(40 * DAY_SEC);
    assert.deepEqual(await store.settleOffer(hash(0x70), msat(5_000)), { kind: 'too-late' });
    assert.deepEqual(await store.openOffers('', 10), []);
    clock.advanceSec(DAY_SEC);
    assert.equal((await store.purge()).offers, backend.forgetting === 'timers' ? 0 : 1);
    assert.deepEqual(await store.settleOffer(hash(0x70), msat(5_000)), { kind: 'no-offer' });
  });

  it('the settlement cursor only moves forward', async ({ store }) => {
    assert.equal(await store.settlementCursor(), 0);
    await store.advanceSettlementCursor(7);
    await store.advanceSettlementCursor(3);
    assert.equal(await store.settlementCursor(), 7);
  });
}

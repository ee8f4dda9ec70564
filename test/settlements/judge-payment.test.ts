import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PaymentEntry } from '../../gateway/ledger/store.ts';
import { judgePayment } from '../../gateway/settlements/judge-payment.ts';
import { msat } from '../../node/msat.ts';

const NOW = 1_900_000_000;
const AT = { nowSec: NOW, watermarkSec: NOW - 86_400, creditEndsAtSec: NOW + 1_000 };
const HASH = 'aa'.repeat(32);
const CLAIM = {
  paymentHash: HASH,
  accountId: 'bb'.repeat(32),
  service: 'quote',
  creditMsat: msat(5_000),
  expiresAtSec: NOW + 1_000,
};
const OFFER = {
  paymentHash: HASH,
  accountId: 'cc'.repeat(32),
  service: 'quote',
  amountMsat: msat(5_000),
  invoiceExpiresAtSec: NOW,
  creditExpiresAtSec: NOW + 1_000,
  settled: true,
};

function judge(entry: Partial<PaymentEntry>, paidMsat = 5_000, at = AT) {
  const nothing = { claim: undefined, offer: undefined, creditedMsat: undefined, excessMsat: undefined };
  const known = { paymentHash: HASH, ...nothing, ...entry };
  return judgePayment({ paymentHash: HASH, paidMsat: msat(paidMsat) }, known, at);
}

test('a payment that nobody presented is unclaimed, until the ledger would have forgotten it', () => {
  assert.equal(judge({}).kind, 'unclaimed');
  assert.equal(judge({}, 5_000, { ...AT, creditEndsAtSec: NOW - 10 }).kind, 'unclaimed');
  assert.equal(judge({}, 5_000, { ...AT, creditEndsAtSec: AT.watermarkSec }).kind, 'forgotten');
});

test('a claim is credited when its credit is there, and a pass has none', () => {
  assert.equal(judge({ claim: CLAIM, creditedMsat: msat(5_000) }).kind, 'credited');
  assert.equal(judge({ claim: { ...CLAIM, creditMsat: msat(0) } }).kind, 'credited');
  const torn = judge({ claim: CLAIM });
  assert.deepEqual([torn.kind, torn.note, torn.accountId], ['missing', undefined, CLAIM.accountId]);
  const over = judge({ claim: { ...CLAIM, expiresAtSec: NOW } });
  assert.equal(over.kind, 'missing');
  assert.match(over.note ?? '', /ended before/);
});

test('what a claim brought above its invoice is missing until it is credited; a pass has no balance for it', () => {
  const entry = { claim: CLAIM, creditedMsat: msat(5_000) };
  const over = judge(entry, 5_007);
  assert.deepEqual([over.kind, over.bookedMsat], ['missing', 5_000]);
  assert.equal(judge({ ...entry, excessMsat: msat(7) }, 5_007).kind, 'credited');
  assert.equal(judge({ claim: { ...CLAIM, creditMsat: msat(0) } }, 5_007).kind, 'credited');
});

test('a top-up is credited with all that was paid, missing with less', () => {
  assert.equal(judge({ offer: OFFER, creditedMsat: msat(5_000) }).kind, 'credited');
  assert.equal(judge({ offer: { ...OFFER, settled: false } }).kind, 'missing');
  assert.equal(judge({ offer: OFFER, creditedMsat: msat(5_000) }, 5_007).kind, 'missing');
  assert.equal(
    judge({ offer: OFFER, creditedMsat: msat(5_000), excessMsat: msat(7) }, 5_007).kind,
    'credited',
  );
  assert.match(judge({ offer: OFFER }, 4_999).note ?? '', /less was paid/);
});

test('a top-up that its credential brought, and the node did not tell of, is claimed late', () => {
  const entry = { offer: { ...OFFER, settled: false }, claim: CLAIM, creditedMsat: msat(5_000) };
  assert.equal(judge(entry).kind, 'claimed-late');
});

test('of what is due to be purged nothing is said, however much of it is left', () => {
  const ended = { ...OFFER, creditExpiresAtSec: AT.watermarkSec, settled: false };
  assert.equal(judge({ offer: ended }).kind, 'forgotten');
});

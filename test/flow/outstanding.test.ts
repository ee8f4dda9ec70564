import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Asker,
  createOutstanding,
  MAX_RESERVED_PER_ACCOUNT,
  type Outstanding,
} from '../../gateway/flow/outstanding.ts';

const LIMITS = { maxOutstanding: 10, reservedShare: 0.2, maxOutstandingPerClient: 4 };
const stranger = (clientKey: string): Asker => ({ clientKey, paidAccountId: undefined });

const customer = (clientKey: string, paidAccountId = 'account'): Asker => ({ clientKey, paidAccountId });

let serial = 0;
function issue(outstanding: Outstanding, asker: Asker, expiresAtSec = 600, limits = LIMITS): string {
  const admission = outstanding.admit(asker, limits);
  if (admission.kind !== 'admitted') return admission.kind;
  serial += 1;
  admission.place.hold(`hash-${serial}`, expiresAtSec);
  return `hash-${serial}`;
}

test('one address fills its own share and not the shop', () => {
  const outstanding = createOutstanding(() => 0);
  for (let n = 0; n < 4; n += 1) assert.match(issue(outstanding, stranger('attacker')), /^hash/);
  assert.equal(issue(outstanding, stranger('attacker')), 'full-for-client');
  assert.match(issue(outstanding, stranger('buyer')), /^hash/);
});

test('many attackers together leave room for accounts that have paid', () => {
  const outstanding = createOutstanding(() => 0);
  for (let n = 0; n < 8; n += 1) assert.match(issue(outstanding, stranger(`attacker-${n}`)), /^hash/);
  assert.equal(issue(outstanding, stranger('one-more')), 'full');
  assert.match(issue(outstanding, customer('home')), /^hash/);
});

test('one account holds a few reserved places, from however many addresses, and gets them back', () => {
  const limits = { ...LIMITS, maxOutstanding: 100 };
  const outstanding = createOutstanding(() => 0);
  const hashes = Array.from({ length: 80 }, (_, n) => issue(outstanding, stranger(`x-${n}`), 900, limits));
  assert.ok(hashes.every((hash) => hash.startsWith('hash')));
  const first = issue(outstanding, customer('0'), 600, limits);
  for (let n = 1; n < MAX_RESERVED_PER_ACCOUNT; n += 1)
    assert.match(issue(outstanding, customer(`${n}`), 600, limits), /^hash/);
  assert.equal(issue(outstanding, customer('more'), 600, limits), 'full');
  assert.match(issue(outstanding, customer('more', 'another account'), 600, limits), /^hash/);
  outstanding.paid(first);
  const admission = outstanding.admit(customer('more'), limits);
  if (admission.kind === 'admitted') admission.place.giveBack();
  assert.match(issue(outstanding, customer('more'), 600, limits), /^hash/);
  assert.equal(issue(outstanding, customer('more'), 600, limits), 'full');
  const [, ...others] = hashes;
  for (const hash of others) outstanding.paid(hash);
  for (let n = 0; n < 60; n += 1)
    assert.match(issue(outstanding, customer(`open-${n}`), 600, limits), /^hash/);
});

test('a place is free again when its invoice is paid, expires, or was never made', () => {
  const clock = { sec: 0 };
  const outstanding = createOutstanding(() => clock.sec);
  const paidHash = issue(outstanding, stranger('a'));
  for (let n = 0; n < 3; n += 1) issue(outstanding, stranger('a'));
  assert.equal(issue(outstanding, stranger('a')), 'full-for-client');
  outstanding.paid(paidHash);
  outstanding.paid(paidHash);
  const admission = outstanding.admit(stranger('a'), LIMITS);
  assert.equal(admission.kind, 'admitted');
  if (admission.kind === 'admitted') {
    admission.place.giveBack();
    admission.place.giveBack();
  }
  assert.equal(outstanding.count(), 3);
  clock.sec = 600;
  assert.match(issue(outstanding, stranger('a'), 1200), /^hash/);
  assert.equal(outstanding.count(), 1);
});

test('an invoice that is still being made holds its place', () => {
  const outstanding = createOutstanding(() => 0);
  for (let n = 0; n < 4; n += 1) assert.equal(outstanding.admit(stranger('a'), LIMITS).kind, 'admitted');
  assert.equal(outstanding.admit(stranger('a'), LIMITS).kind, 'full-for-client');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Asker, createOutstanding, type Outstanding } from '../../gateway/flow/outstanding.ts';

const LIMITS = { maxOutstanding: 10, reservedShare: 0.2, maxOutstandingPerClient: 4 };
const stranger = (clientKey: string): Asker => ({ clientKey, hasPaid: false });

let serial = 0;
function issue(outstanding: Outstanding, asker: Asker, expiresAtSec = 600): string {
  const admission = outstanding.admit(asker, LIMITS);
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
  assert.match(issue(outstanding, { clientKey: 'customer', hasPaid: true }), /^hash/);
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

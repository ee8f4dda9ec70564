import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSessionTable, type HeldCredential } from '../../gateway/session/table.ts';
import { manualClock } from '../support/clock.ts';

function held(change: Partial<HeldCredential> = {}): HeldCredential {
  const service = change.service ?? 'film';
  return {
    candidate: { macaroons: [service], preimage: '11', cacheKey: `${service}:11` },
    service,
    accountId: 'aa',
    validUntilSec: 1_893_456_000 + 600,
    ...change,
  };
}

test('an id is 32 random bytes, and stands for its credential until that ends', () => {
  const clock = manualClock();
  const table = createSessionTable(clock);
  const { id, expiresAtSec } = table.open(held(), undefined);
  assert.match(id, /^[A-Za-z0-9_-]{43}$/);
  assert.equal(expiresAtSec, clock.nowSec() + 600);
  assert.notEqual(table.open(held(), undefined).id, id);
  assert.equal(table.credentials(id).length, 1);
  assert.deepEqual(table.credentials('B'.repeat(43)), []);
  clock.advanceSec(600);
  assert.deepEqual(table.credentials(id), []);
});

test('a browser that pays for a second service has one session for both, under a new id', () => {
  const table = createSessionTable(manualClock());
  const first = table.open(held(), undefined);
  const second = table.open(held({ service: 'live', accountId: 'bb' }), first.id);
  assert.deepEqual(table.credentials(first.id), []);
  assert.deepEqual(
    table.credentials(second.id).map(({ service }) => service),
    ['live', 'film'],
  );
  const third = table.open(held({ accountId: 'cc' }), second.id);
  assert.deepEqual(
    table.credentials(third.id).map(({ accountId }) => accountId),
    ['cc', 'bb'],
  );
  assert.equal(table.size(), 1);
  table.close(third.id);
  assert.deepEqual([table.credentials(third.id), table.size()], [[], 0]);
});

test('an account has so many sessions; one more ends its oldest, and nobody else’s', () => {
  const table = createSessionTable({ ...manualClock(), maxPerAccount: 3 });
  const other = table.open(held({ accountId: 'bb' }), undefined);
  const ids = Array.from({ length: 5 }, () => table.open(held(), undefined).id);
  assert.deepEqual(
    ids.map((id) => table.credentials(id).length),
    [0, 0, 1, 1, 1],
  );
  assert.equal(table.credentials(other.id).length, 1);
});

test('the table is bounded by its size; what was not used for longest goes first', () => {
  const table = createSessionTable({ ...manualClock(), maxBytes: 6_000 });
  const first = table.open(held({ accountId: '00' }), undefined);
  for (let n = 1; n < 200; n += 1) {
    table.open(held({ accountId: n.toString(16) }), undefined);
    assert.equal(table.credentials(first.id).length, 1);
  }
  assert.ok(table.size() < 12);
});

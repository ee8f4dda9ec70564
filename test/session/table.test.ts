import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSessionTable } from '../../gateway/session/table.ts';
import { heldCredential, sessionsContract } from '../contract/sessions.contract.ts';
import { manualClock } from '../support/clock.ts';

sessionsContract('in memory', async (_t, clock) => createSessionTable(clock));

test('the table is bounded by its size; what was not used for longest goes first', async () => {
  const table = createSessionTable({ ...manualClock(), maxBytes: 6_000 });
  const first = await table.open(heldCredential({ accountId: '00' }), undefined);
  for (let n = 1; n < 200; n += 1) {
    await table.open(heldCredential({ accountId: n.toString(16) }), undefined);
    assert.equal((await table.credentials(first.id)).length, 1);
  }
  assert.ok(table.size() < 12);
});

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { HeldCredential, SessionTable } from '../../gateway/session/table.ts';
import { type ManualClock, manualClock } from '../support/clock.ts';

/** A credential as a session holds it. */
export function heldCredential(change: Partial<HeldCredential> = {}): HeldCredential {
  const service = change.service ?? 'film';
  return {
    candidate: { macaroons: [service], preimage: '11', cacheKey: `${service}:11` },
    service,
    accountId: 'aa',
    validUntilSec: 1_893_456_000 + 600,
    ...change,
  };
}

/** Opens an empty table on a clock. */
export type OpenSessions = (t: TestContext, clock: ManualClock) => Promise<SessionTable>;

/** What every table of sessions does. */
export function sessionsContract(name: string, open: OpenSessions): void {
  test(`${name}: an id is 32 random bytes, and stands for its credential until that ends`, async (t) => {
    const clock = manualClock();
    const table = await open(t, clock);
    const { id, expiresAtSec } = await table.open(heldCredential(), undefined);
    assert.match(id, /^[A-Za-z0-9_-]{43}$/);
    assert.equal(expiresAtSec, clock.nowSec() + 600);
    assert.notEqual((await table.open(heldCredential(), undefined)).id, id);
    assert.deepEqual(await table.credentials(id), [heldCredential()]);
    assert.deepEqual(await table.credentials('B'.repeat(43)), []);
    clock.advanceSec(600);
    assert.deepEqual(await table.credentials(id), []);
  });

  test(`${name}: a browser that pays for a second service has one session for both, under a new id`, async (t) => {
    const table = await open(t, manualClock());
    const first = await table.open(heldCredential(), undefined);
    const second = await table.open(heldCredential({ service: 'live', accountId: 'bb' }), first.id);
    assert.deepEqual(await table.credentials(first.id), []);
    const services = (await table.credentials(second.id)).map(({ service }) => service);
    assert.deepEqual(services, ['live', 'film']);
    const third = await table.open(heldCredential({ accountId: 'cc' }), second.id);
    const accounts = (await table.credentials(third.id)).map(({ accountId }) => accountId);
    assert.deepEqual(accounts, ['cc', 'bb']);
    await table.close(third.id);
    assert.deepEqual(await table.credentials(third.id), []);
    await table.close(third.id);
  });

  test(`${name}: an account has 16 sessions; one more ends its oldest, and nobody else’s`, async (t) => {
    const clock = manualClock();
    const table = await open(t, clock);
    const other = await table.open(heldCredential({ accountId: 'bb' }), undefined);
    const lengths: Promise<number>[] = [];
    const ids: string[] = [];
    for (let count = 0; count < 18; count += 1) {
      clock.advanceSec(1);
      ids.push((await table.open(heldCredential(), undefined)).id);
    }
    clock.advanceSec(1);
    for (const id of ids) lengths.push(table.credentials(id).then(({ length }) => length));
    assert.deepEqual(await Promise.all(lengths), [0, 0, ...Array.from({ length: 16 }, () => 1)]);
    assert.equal((await table.credentials(other.id)).length, 1);
  });
}

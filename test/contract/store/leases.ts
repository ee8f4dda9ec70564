import assert from 'node:assert/strict';
import type { Commit, CommitOutcome, Reserve, Store } from '../../../gateway/ledger/store.ts';
import { msat } from '../../../node/msat.ts';
import {
  ALICE,
  accountOf,
  assertStoreError,
  BOB,
  balanceOf,
  type ContractTest,
  DAY_SEC,
  fund,
  hash,
  purgeAll,
} from './subject.ts';

function reserveOf(change: Partial<Reserve> = {}): Reserve {
  return { accountId: ALICE, leaseId: 'stream-1', amountMsat: msat(100), ttlSec: 10, ...change };
}

function commitOf(slice: number, change: Partial<Commit> = {}): Commit {
  const amounts = { spendMsat: msat(100), reserveMsat: msat(100) };
  return { accountId: ALICE, leaseId: 'stream-1', slice, ttlSec: 10, ...amounts, ...change };
}

async function commitOne(store: Store, commit: Commit): Promise<CommitOutcome> {
  const [outcome] = await store.commit([commit]);
  assert.ok(outcome);
  return outcome;
}

/** Money set aside for streams and uploads. */
export function leaseContract(it: ContractTest): void {
  openingContract(it);
  committingContract(it);
  endingContract(it);
}

function openingContract(it: ContractTest): void {
  it('a lease sets money aside that nothing else can spend', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 150);
    assert.deepEqual(await store.reserve(reserveOf()), { kind: 'reserved', balanceMsat: 50 });
    const spent = await store.spend({ accountId: ALICE, key: 'k', amountMsat: msat(51) });
    assert.deepEqual(spent, { kind: 'insufficient', balanceMsat: 50 });
    assert.equal((await accountOf(store, ALICE)).reservedMsat, 100);
    assert.deepEqual(await store.reserve(reserveOf({ leaseId: 'stream-2' })), {
      kind: 'insufficient',
      balanceMsat: 50,
    });
  });

  it('a lease opens once, also when it has ended since', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 150);
    await store.reserve(reserveOf());
    assert.deepEqual(await store.reserve(reserveOf()), { kind: 'repeated', balanceMsat: 50 });
    await store.release({ accountId: ALICE, leaseId: 'stream-1', spendMsat: msat(0) });
    assert.deepEqual(await store.reserve(reserveOf()), { kind: 'repeated', balanceMsat: 150 });
    assert.deepEqual(await commitOne(store, commitOf(1)), { kind: 'gone' });
  });

  it('an account has at most as many live leases as it may', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 1_000);
    assert.equal((await store.reserve(reserveOf({ maxLeases: 1 }))).kind, 'reserved');
    const second = reserveOf({ leaseId: 'stream-2', maxLeases: 1 });
    assert.deepEqual(await store.reserve(second), { kind: 'too-many-leases' });
    clock.advanceSec(10);
    assert.equal((await store.reserve(second)).kind, 'reserved');
    await store.release({ accountId: ALICE, leaseId: 'stream-2', spendMsat: msat(0) });
    assert.equal((await store.reserve(reserveOf({ leaseId: 'stream-3', maxLeases: 1 }))).kind, 'reserved');
  });

  it('a lease of nothing is a place like any other: counted, kept, given back and lost', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 100);
    const place = reserveOf({ leaseId: 'place', amountMsat: msat(0), maxLeases: 2 });
    const another = { ...place, leaseId: 'another' };
    const kept = { accountId: ALICE, spendMsat: msat(0), reserveMsat: msat(0), ttlSec: 10 };
    assert.equal((await store.reserve(reserveOf({ maxLeases: 2 }))).kind, 'reserved');
    // All of the balance is set aside by the first.
    assert.deepEqual(await store.reserve(place), { kind: 'reserved', balanceMsat: 0 });
    assert.deepEqual(await store.reserve(another), { kind: 'too-many-leases' });
    clock.advanceSec(9);
    const renewed = await store.commit([
      { ...kept, leaseId: 'stream-1', slice: 1 },
      { ...kept, leaseId: 'place', slice: 1 },
    ]);
    assert.deepEqual(renewed, [
      { kind: 'committed', balanceMsat: 0, reservedMsat: 100 },
      { kind: 'committed', balanceMsat: 0, reservedMsat: 0 },
    ]);
    clock.advanceSec(9);
    await purgeAll(store);
    assert.deepEqual(await store.reserve(another), { kind: 'too-many-leases' });
    const given = { accountId: ALICE, leaseId: 'place', spendMsat: msat(0) };
    assert.deepEqual(await store.release(given), { kind: 'released', balanceMsat: 0 });
    assert.deepEqual(await store.release(given), { kind: 'gone' });
    assert.equal((await store.reserve(another)).kind, 'reserved');
    await store.release({ accountId: ALICE, leaseId: 'stream-1', spendMsat: msat(30) });
    clock.advanceSec(10);
    assert.deepEqual(await commitOne(store, { ...kept, leaseId: 'another', slice: 1 }), { kind: 'gone' });
    assert.equal((await store.reserve({ ...place, leaseId: 'third', maxLeases: 1 })).kind, 'reserved');
    assert.equal(
      (await store.reserve({ ...place, leaseId: 'fourth', maxLeases: 1 })).kind,
      'too-many-leases',
    );
    clock.advanceSec(10);
    assert.equal((await store.purge()).leases > 0, true);
    const { balanceMsat, reservedMsat, spentMsat } = await accountOf(store, ALICE);
    assert.deepEqual([balanceMsat, reservedMsat, spentMsat], [70, 0, 30]);
  });

  it('of leases of nothing that are opened at once, as many are opened as there are places', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 100);
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        store.reserve(reserveOf({ leaseId: `place-${n}`, amountMsat: msat(0), maxLeases: 7 })),
      ),
    );
    assert.equal(outcomes.filter(({ kind }) => kind === 'reserved').length, 7);
    assert.equal(outcomes.filter(({ kind }) => kind === 'too-many-leases').length, 13);
  });

  it('an unknown, revoked or expired account opens no lease, not even one of nothing', async (subject) => {
    const { store, clock } = subject;
    const opened = async (accountId: string): Promise<readonly string[]> => {
      const amounts = [msat(100), msat(0)];
      const outcomes = amounts.map((amountMsat) => store.reserve(reserveOf({ accountId, amountMsat })));
      return (await Promise.all(outcomes)).map(({ kind }) => kind);
    };
    assert.deepEqual(await opened(ALICE), ['unknown-account', 'unknown-account']);
    await fund(subject, ALICE, 100);
    await fund(subject, BOB, 100);
    await store.revoke(ALICE, clock.nowSec() + DAY_SEC);
    assert.deepEqual(await opened(ALICE), ['revoked', 'revoked']);
    clock.advanceSec(30 * DAY_SEC);
    assert.deepEqual(await opened(BOB), ['expired', 'expired']);
  });
}

function committingContract(it: ContractTest): void {
  it('a commit spends a slice and sets the next one aside', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 250);
    await store.reserve(reserveOf());
    assert.deepEqual(await commitOne(store, commitOf(1)), {
      kind: 'committed',
      balanceMsat: 50,
      reservedMsat: 100,
    });
    assert.deepEqual(await commitOne(store, commitOf(2)), {
      kind: 'insufficient',
      balanceMsat: 50,
      reservedMsat: 0,
    });
    const account = await accountOf(store, ALICE);
    assert.equal(account.spentMsat, 200);
    assert.equal(account.reservedMsat, 0);
    await fund(subject, ALICE, 100);
    assert.deepEqual(await commitOne(store, commitOf(3, { spendMsat: msat(0) })), {
      kind: 'committed',
      balanceMsat: 50,
      reservedMsat: 100,
    });
  });

  it('a slice is committed once, however often and late it comes', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    await store.reserve(reserveOf());
    await store.commit([commitOf(5)]);
    for (const slice of [5, 4, 1]) {
      assert.deepEqual(await commitOne(store, commitOf(slice)), {
        kind: 'repeated',
        balanceMsat: 800,
        reservedMsat: 100,
      });
    }
    assert.equal((await accountOf(store, ALICE)).spentMsat, 100);
  });

  it('many leases commit in one call, each with its own outcome in its place', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 200 * 600);
    const leaseIds = Array.from({ length: 600 }, (_, n) => `lease ${n}`);
    await Promise.all(leaseIds.map((leaseId) => store.reserve(reserveOf({ leaseId }))));
    const commits = leaseIds.map((leaseId) => commitOf(1, { leaseId }));
    commits.splice(300, 0, commitOf(1, { leaseId: 'nobody' }));
    const outcomes = await store.commit(commits);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      commits.map(({ leaseId }) => (leaseId === 'nobody' ? 'gone' : 'committed')),
    );
    assert.deepEqual(await store.commit([]), []);
    const account = await accountOf(store, ALICE);
    assert.equal(account.spentMsat, 60_000);
    assert.equal(account.reservedMsat, 60_000);
  });

  it('more than is reserved can not be spent: invalid, and nothing of that call is booked', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    await store.reserve(reserveOf());
    await store.reserve(reserveOf({ leaseId: 'stream-2' }));
    const tooMuch = commitOf(1, { leaseId: 'stream-2', spendMsat: msat(101) });
    await assertStoreError('invalid', store.commit([commitOf(1), tooMuch]));
    await assertStoreError(
      'invalid',
      store.release({ accountId: ALICE, leaseId: 'stream-1', spendMsat: msat(101) }),
    );
    const account = await accountOf(store, ALICE);
    assert.equal(account.spentMsat, 0);
    assert.equal(account.reservedMsat, 200);
  });

  it('a revoked or ended account pays for its last slice and gets no more', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 1_000);
    await fund(subject, BOB, 1_000);
    clock.advanceSec(30 * DAY_SEC - 5);
    await store.reserve(reserveOf());
    await store.reserve(reserveOf({ accountId: BOB }));
    await store.revoke(ALICE, clock.nowSec() + DAY_SEC);
    assert.deepEqual(await commitOne(store, commitOf(1)), { kind: 'revoked' });
    clock.advanceSec(5);
    assert.deepEqual(await commitOne(store, commitOf(1, { accountId: BOB })), { kind: 'expired' });
    const bob = await accountOf(store, BOB);
    assert.equal(bob.spentMsat, 100);
    assert.equal(bob.expiredMsat, 900);
  });

  it('a lease of another account is gone', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    await fund(subject, BOB, 1_000);
    await store.reserve(reserveOf());
    assert.deepEqual(await commitOne(store, commitOf(1, { accountId: BOB })), { kind: 'gone' });
    assert.deepEqual(await commitOne(store, commitOf(1, { accountId: hash(9) })), { kind: 'gone' });
    assert.deepEqual(await store.release({ accountId: BOB, leaseId: 'stream-1', spendMsat: msat(1) }), {
      kind: 'gone',
    });
  });
}

function endingContract(it: ContractTest): void {
  it('a release spends the last part and gives the rest back, once', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 100);
    await store.reserve(reserveOf());
    const release = { accountId: ALICE, leaseId: 'stream-1', spendMsat: msat(30) };
    assert.deepEqual(await store.release(release), { kind: 'released', balanceMsat: 70 });
    assert.deepEqual(await store.release(release), { kind: 'gone' });
    const account = await accountOf(store, ALICE);
    assert.equal(account.spentMsat, 30);
    assert.equal(account.reservedMsat, 0);
  });

  it('a lease that nobody renews expires, and its money is back when it is needed', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 100);
    await store.reserve(reserveOf());
    clock.advanceSec(9);
    const spend = { accountId: ALICE, key: 'k', amountMsat: msat(60) };
    assert.deepEqual(await store.spend(spend), { kind: 'insufficient', balanceMsat: 0 });
    clock.advanceSec(1);
    assert.equal(await balanceOf(store, ALICE), 100);
    assert.deepEqual(await store.spend(spend), { kind: 'spent', balanceMsat: 40 });
    assert.deepEqual(await commitOne(store, commitOf(1)), { kind: 'gone' });
    assert.deepEqual(await store.release({ accountId: ALICE, leaseId: 'stream-1', spendMsat: msat(1) }), {
      kind: 'gone',
    });
    await purgeAll(store);
    assert.equal(await balanceOf(store, ALICE), 40);
  });

  it('a commit renews its lease', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 1_000);
    await store.reserve(reserveOf());
    for (let slice = 1; slice <= 5; slice += 1) {
      clock.advanceSec(9);
      await purgeAll(store);
      assert.equal((await commitOne(store, commitOf(slice))).kind, 'committed');
    }
    clock.advanceSec(10);
    assert.deepEqual(await commitOne(store, commitOf(6)), { kind: 'gone' });
  });

  it('purge gives expired leases back once', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 300);
    await store.reserve(reserveOf());
    await store.reserve(reserveOf({ leaseId: 'stream-2', ttlSec: 20 }));
    clock.advanceSec(10);
    assert.equal((await store.purge()).leases, 1);
    assert.equal((await store.purge()).leases, 0);
    const account = await accountOf(store, ALICE);
    assert.equal(account.balanceMsat, 200);
    assert.equal(account.reservedMsat, 100);
    assert.equal((await store.totals()).reservedMsat, 100);
  });

  it('what a lease gives back to an account that has ended expires', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 300);
    clock.advanceSec(30 * DAY_SEC - 5);
    await store.reserve(reserveOf());
    await store.reserve(reserveOf({ leaseId: 'stream-2' }));
    clock.advanceSec(5);
    const released = await store.release({ accountId: ALICE, leaseId: 'stream-1', spendMsat: msat(40) });
    assert.deepEqual(released, { kind: 'released', balanceMsat: 0 });
    clock.advanceSec(5);
    const report = await store.purge();
    assert.equal(report.leases, 1);
    assert.equal(report.expiredMsat, 100);
    const account = await accountOf(store, ALICE);
    assert.equal(account.spentMsat, 40);
    assert.equal(account.expiredMsat, 260);
  });
}

import assert from 'node:assert/strict';
import type { AttemptEnd, Store } from '../../../gateway/ledger/store.ts';
import { msat } from '../../../node/msat.ts';
import {
  ALICE,
  assertStoreError,
  type ContractTest,
  claimOf,
  fund,
  hash,
  SERVICE,
  type Subject,
} from './subject.ts';

const LONG = 'x'.repeat(129);
const NOT_AN_ACCOUNT = ['', 'f', ALICE.toUpperCase(), `${ALICE} `, 'zz', 'a'.repeat(129), `${ALICE}\n`];
const NOT_A_HASH = ['', 'ab', hash(1).slice(1), `${hash(1)}0`, 'F'.repeat(64), `${hash(1)}\n`];
const NOT_A_KEY = ['', LONG, 'a\nb', 'ä', '\u0000'];
const NOT_SECONDS = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53];

type Verb = (store: Store) => Promise<unknown>;

/** Calls that mean nothing, by verb. `wrong` numbers are what a caller makes by arithmetic without msat(). */
function* malformedCalls(subject: Subject): Generator<Verb> {
  const claim = claimOf(subject);
  for (const accountId of NOT_AN_ACCOUNT) {
    yield (store) => store.claim({ ...claim, accountId });
    yield (store) => store.redeem({ ...claim, accountId });
    yield (store) => store.account(accountId);
    yield (store) => store.revoke(accountId, claim.expiresAtSec);
    yield (store) => store.spend({ accountId, key: 'k', amountMsat: msat(1) });
    yield (store) => store.endAttempt({ accountId, key: 'k', attemptId: 'a' }, 'delivered');
  }
  for (const paymentHash of NOT_A_HASH) {
    yield (store) => store.claim({ ...claim, paymentHash });
    yield (store) => store.settleOffer(paymentHash, msat(1));
    yield (store) => store.dropOffer(paymentHash);
    if (paymentHash !== '') yield (store) => store.openOffers(paymentHash, 1);
  }
  yield* malformedCredits(subject);
  yield* malformedDebits();
  yield* malformedLeases();
  for (const service of ['', 'a_b', 'A', LONG]) yield (store) => store.claim({ ...claim, service });
  for (const bad of NOT_SECONDS) {
    yield (store) => store.claim({ ...claim, expiresAtSec: bad });
    yield (store) => store.revoke(ALICE, bad);
    yield (store) => store.revocationsAfter(bad);
    yield (store) => store.advanceSettlementCursor(bad);
  }
  for (const limit of [0, -1, 1.5, 1_001]) yield (store) => store.openOffers('', limit);
  for (const fingerprints of [[], ['zz'], [''], Array.from({ length: 101 }, (_, n) => hash(n))]) {
    yield (store) => store.admitMasterKeys(fingerprints);
  }
}

function* malformedCredits(subject: Subject): Generator<Verb> {
  const { expiresAtSec } = claimOf(subject);
  const credit = {
    creditKey: hash(1),
    accountId: ALICE,
    service: SERVICE,
    amountMsat: msat(1),
    expiresAtSec,
  };
  for (const creditKey of ['', 'ab', `${hash(1)}:`, `${hash(1)}:more`, `${hash(1)}:excess:excess`]) {
    yield (store) => store.credit({ ...credit, creditKey });
  }
  yield (store) => store.credit({ ...credit, amountMsat: msat(0) });
  const offer = {
    paymentHash: hash(1),
    accountId: ALICE,
    service: SERVICE,
    amountMsat: msat(1),
    invoiceExpiresAtSec: expiresAtSec,
    creditExpiresAtSec: expiresAtSec,
  };
  yield (store) => store.offer({ ...offer, amountMsat: msat(0) }, 1);
  yield (store) => store.offer({ ...offer, creditExpiresAtSec: expiresAtSec - 1 }, 1);
  for (const maxOutstanding of [0, -1, 0.5]) yield (store) => store.offer(offer, maxOutstanding);
}

function* malformedDebits(): Generator<Verb> {
  const spend = { accountId: ALICE, key: 'k', amountMsat: msat(1) };
  const attempt = { ...spend, attemptId: 'a', fingerprint: 'f', inFlightSec: 1 };
  for (const key of NOT_A_KEY) {
    yield (store) => store.spend({ ...spend, key });
    yield (store) => store.voidSpend({ ...spend, key });
    yield (store) => store.refundSpend({ ...spend, key });
    yield (store) => store.beginAttempt({ ...attempt, key });
    yield (store) => store.beginAttempt({ ...attempt, fingerprint: key });
    yield (store) => store.beginAttempt({ ...attempt, attemptId: key });
    yield (store) => store.endAttempt({ ...attempt, key }, 'delivered');
    yield (store) => store.endAttempt({ ...attempt, attemptId: key }, 'delivered');
    yield (store) => store.voidAttempt({ ...attempt, key });
    yield (store) => store.voidAttempt({ ...attempt, attemptId: key });
  }
  for (const inFlightSec of [0, -1, 0.5, 86_401])
    yield (store) => store.beginAttempt({ ...attempt, inFlightSec });
  // What reaches the port from code that is not type-checked.
  yield (store) => store.endAttempt(attempt, 'lost' as AttemptEnd);
  for (const amount of [-1, 0.5, Number.NaN, 2 ** 53]) {
    const amountMsat = amount as ReturnType<typeof msat>;
    yield (store) => store.spend({ ...spend, amountMsat });
    yield (store) => store.voidSpend({ ...spend, amountMsat });
    yield (store) => store.refundSpend({ ...spend, amountMsat });
    yield (store) => store.beginAttempt({ ...attempt, amountMsat });
    yield (store) => store.settleOffer(hash(1), amountMsat);
  }
}

function* malformedLeases(): Generator<Verb> {
  const reserve = { accountId: ALICE, leaseId: 'l', amountMsat: msat(1), ttlSec: 1 };
  const amounts = { spendMsat: msat(0), reserveMsat: msat(0) };
  const commit = { accountId: ALICE, leaseId: 'l', slice: 1, ttlSec: 1, ...amounts };
  for (const leaseId of NOT_A_KEY) {
    yield (store) => store.reserve({ ...reserve, leaseId });
    yield (store) => store.commit([{ ...commit, leaseId }]);
    yield (store) => store.release({ accountId: ALICE, leaseId, spendMsat: msat(0) });
  }
  for (const bad of [0, -1, 0.5]) {
    yield (store) => store.reserve({ ...reserve, ttlSec: bad });
    yield (store) => store.reserve({ ...reserve, maxLeases: bad });
    yield (store) => store.commit([{ ...commit, slice: bad }]);
    yield (store) => store.commit([{ ...commit, ttlSec: bad }]);
  }
  yield (store) => store.commit([commit, { ...commit, slice: 2 }]);
}

/** What a verb can't mean. */
export function inputContract(it: ContractTest): void {
  it('every malformed call is invalid, says nothing of its values, and changes nothing', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    const before = await store.totals();
    for (const call of malformedCalls(subject)) {
      const error = await assertStoreError('invalid', call(store));
      assert.ok(!error.message.includes(ALICE) && !error.message.includes(hash(1)), error.message);
    }
    assert.deepEqual(await store.totals(), before);
  });
}

import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { type Claim, type Store, StoreError } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { accountOf, assertBalanced, hash, SERVICE } from '../contract/store/subject.ts';
import { eventually } from '../support/eventually.ts';

/** Customers at once, each with an account of its own. */
const CUSTOMERS = 24;
const CREDIT_MSAT = 1_000;
/** What is paid for a top-up, and what it was offered for. */
const PAID_MSAT = 1_007;
const SPEND_MSAT = 3;
const LEASE_MSAT = 50;
/** A lease whose end was forgotten in a failover gives its money back by itself. */
const LEASE_SEC = 2;
/** Far enough for every run. */
const END_SEC = 4_000_000_000;
/** Between two tries of a verb that found no Redis, ms: a client that backs off, as gateways do. */
const BACK_OFF_MS = 20;

/** The account of one of the customers. */
export const FIRST_ACCOUNT = accountNumber(0);

function accountNumber(n: number): string {
  return hash(0xf0_0000 + n);
}

interface Customer {
  readonly accountId: string;
  /** Payments that were redeemed and acknowledged. */
  readonly claims: Claim[];
  /** Top-ups that were settled and acknowledged. */
  readonly topUps: string[];
  /** Spends that were acknowledged and never voided, msat. */
  spentMsat: number;
  /** Rounds that it has come through. */
  rounds: number;
}

/** Customers who buy, call, stream and top up without a pause, and keep their own books. */
export interface FailoverLoad {
  /** Resolves when every customer has come through so many rounds from now on. */
  untilRounds(count: number): Promise<void>;
  stop(): Promise<void>;
  /** The store's books against those of the customers: what was acknowledged is there once, and nothing else is. */
  check(): Promise<void>;
}

/** Begins the load. Whatever is unavailable has an unknown outcome, which is resolved by its key before the customer goes on. */
export function startFailoverLoad(store: Store): FailoverLoad {
  let isStopped = false;
  const customers = Array.from(
    { length: CUSTOMERS },
    (_, n): Customer => ({
      accountId: accountNumber(n),
      claims: [],
      topUps: [],
      spentMsat: 0,
      rounds: 0,
    }),
  );

  async function live(customer: Customer, number: number): Promise<void> {
    while (!isStopped) {
      await playRound(store, customer, `${number}:${customer.rounds}`);
      customer.rounds += 1;
    }
  }

  const lives = customers.map(live);
  const ended = Promise.allSettled(lives);
  // A customer whose verb went wrong must end the test, not wait for its end.
  const failed = Promise.all(lives).then(() => undefined);
  failed.catch(() => {});
  return {
    async untilRounds(count) {
      const goals = customers.map(({ rounds }) => rounds + count);
      const reached = eventually(
        () => customers.filter(({ rounds }, n) => rounds < (goals[n] ?? 0)).length,
        (behind) => behind === 0,
      );
      await Promise.race([reached, failed]);
    },
    async stop() {
      isStopped = true;
      await ended;
      await failed;
    },
    check: () => checkBooks(store, customers),
  };
}

/** Repeats a verb until its outcome is known. */
async function known<T>(verb: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await verb();
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'unavailable')) throw error;
      await wait(BACK_OFF_MS);
    }
  }
}

/** Buys, calls, streams and tops up, once each. */
async function playRound(store: Store, customer: Customer, name: string): Promise<void> {
  await redeem(store, customer);
  for (let call = 0; call < 3; call += 1) await spend(store, customer, `${name}:${call}`);
  await stream(store, customer, name);
  await topUp(store, customer);
}

let payments = 0xf000_0000;

function nextPayment(): string {
  payments += 1;
  return hash(payments);
}

async function redeem(store: Store, { accountId, claims }: Customer): Promise<void> {
  const creditMsat = msat(CREDIT_MSAT);
  const claim = {
    paymentHash: nextPayment(),
    accountId,
    service: SERVICE,
    creditMsat,
    expiresAtSec: END_SEC,
  };
  const { kind } = await known(() => store.redeem(claim));
  assert.ok(kind === 'claimed' || kind === 'repeated', kind);
  claims.push(claim);
}

/** A gateway that does not know whether it has charged voids it, and may not be charged by what arrives late. */
async function spend(store: Store, customer: Customer, key: string): Promise<void> {
  const asked = { accountId: customer.accountId, key, amountMsat: msat(SPEND_MSAT) };
  try {
    const { kind } = await store.spend(asked);
    assert.equal(kind, 'spent');
    customer.spentMsat += SPEND_MSAT;
  } catch (error) {
    if (!(error instanceof StoreError && error.code === 'unavailable')) throw error;
    const { kind } = await known(() => store.voidSpend(asked));
    assert.ok(['voided', 'repeated', 'unknown'].includes(kind), kind);
    const late = await known(() => store.spend(asked));
    // A void is a weak write: the failover may forget it too, and what arrives after that is a new spend.
    if (late.kind === 'spent' || late.kind === 'repeated') customer.spentMsat += SPEND_MSAT;
    else assert.equal(late.kind, 'voided');
  }
}

async function stream(store: Store, customer: Customer, leaseId: string): Promise<void> {
  const { accountId } = customer;
  const lease = { accountId, leaseId, amountMsat: msat(LEASE_MSAT), ttlSec: LEASE_SEC };
  const opened = await known(() => store.reserve(lease));
  assert.ok(opened.kind === 'reserved' || opened.kind === 'repeated', opened.kind);
  const slice = { accountId, leaseId, slice: 1, ttlSec: LEASE_SEC };
  const amounts = { spendMsat: msat(SPEND_MSAT), reserveMsat: msat(SPEND_MSAT) };
  const [committed] = await known(() => store.commit([{ ...slice, ...amounts }]));
  // Gone: the failover has forgotten the lease, or took longer than it lasts.
  assert.ok(['committed', 'repeated', 'gone'].includes(committed?.kind ?? ''), committed?.kind);
  if (committed?.kind !== 'gone') customer.spentMsat += SPEND_MSAT;
  await known(() => store.release({ accountId, leaseId, spendMsat: msat(0) }));
}

async function topUp(store: Store, { accountId, topUps }: Customer): Promise<void> {
  const paymentHash = nextPayment();
  const ends = { invoiceExpiresAtSec: END_SEC, creditExpiresAtSec: END_SEC };
  const offer = { paymentHash, accountId, service: SERVICE, amountMsat: msat(CREDIT_MSAT), ...ends };
  const offered = await known(() => store.offer(offer, 1_000_000));
  assert.ok(offered.kind === 'offered' || offered.kind === 'repeated', offered.kind);
  const settled = await known(() => store.settleOffer(paymentHash, msat(PAID_MSAT)));
  assert.ok(settled.kind === 'credited' || settled.kind === 'repeated', settled.kind);
  topUps.push(paymentHash);
}

/** Sentinels tell of a failover one after the other, and a client may reconnect for each: the check is patient too. */
async function checkBooks(store: Store, customers: readonly Customer[]): Promise<void> {
  for (const customer of customers) {
    const { accountId, claims, topUps } = customer;
    const expectedMsat = claims.length * CREDIT_MSAT + topUps.length * PAID_MSAT;
    assert.equal((await known(() => accountOf(store, accountId))).creditedMsat, expectedMsat, accountId);
    const claimed = await known(() => store.paymentEntries(claims.map(({ paymentHash }) => paymentHash)));
    for (const { claim, creditedMsat } of claimed) {
      assert.equal(claim?.accountId, accountId);
      assert.equal(creditedMsat, CREDIT_MSAT);
    }
    for (const { offer, creditedMsat, excessMsat } of await known(() => store.paymentEntries(topUps))) {
      assert.equal(offer?.settled, true);
      assert.equal((creditedMsat ?? 0) + (excessMsat ?? 0), PAID_MSAT);
    }
    await presentAgain(store, customer);
    const account = await eventually(
      () => known(() => accountOf(store, accountId)),
      ({ reservedMsat }) => reservedMsat === 0,
    );
    assert.equal(account.creditedMsat, expectedMsat);
    // A failover may forget a debit, which is then the customer's, and a void of the moment, of three calls at most.
    assert.ok(account.spentMsat <= customer.spentMsat + 3 * SPEND_MSAT, `${account.spentMsat}`);
  }
  await known(() => assertBalanced(store));
}

async function presentAgain(store: Store, { claims, topUps }: Customer): Promise<void> {
  for (const claim of claims) assert.equal((await known(() => store.redeem(claim))).kind, 'repeated');
  for (const paymentHash of topUps) {
    const { kind } = await known(() => store.settleOffer(paymentHash, msat(PAID_MSAT)));
    assert.equal(kind, 'repeated');
  }
}

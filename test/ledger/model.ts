import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Account, SPEND_KEY_TTL_SEC, type Span, type Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { assertBalanced, hash, SERVICE } from '../contract/store/subject.ts';
import type { ManualClock } from '../support/clock.ts';

/*
 * Random sequences of verbs over three accounts, a few keys and leases, and a clock that jumps, mostly forward. After every
 * step the books must balance, and credited and spent must be what the model added up from the verdicts.
 */

const ACCOUNTS = [hash(0xa), hash(0xb), hash(0xc)];

/** What a reader could keep on paper. */
interface Model {
  readonly credited: Map<string, number>;
  readonly spent: Map<string, number>;
  /** Payments credited: never again, whatever was purged since. */
  readonly payments: Set<string>;
  /** Keys that may not spend again before the store's clock stands there. */
  readonly keys: Map<string, number>;
  /** Keys that spent and were not given back, with their account. */
  readonly made: Map<string, string>;
  /** Keys whose spend was given back. */
  readonly voided: Set<string>;
  /** The latest second seen: the store's clock does not go back. */
  nowSec: number;
}

interface Real {
  readonly store: Store;
  readonly clock: ManualClock;
  readonly startSec: number;
}

type Command = fc.AsyncCommand<Model, Real>;

function add(sums: Map<string, number>, accountId: string, amountMsat: number): void {
  sums.set(accountId, (sums.get(accountId) ?? 0) + amountMsat);
}

/** A step, and the check that follows every step. */
function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return {
    check: () => true,
    toString: () => name,
    async run(model, real) {
      model.nowSec = Math.max(model.nowSec, real.clock.nowSec());
      await run(model, real);
      await checkBooks(model, real.store);
    },
  };
}

async function checkBooks(model: Model, store: Store): Promise<void> {
  await assertBalanced(store);
  for (const accountId of ACCOUNTS) {
    const account = await store.account(accountId);
    if (account === undefined) {
      // Purged, and what it was credited and spent with it.
      model.credited.delete(accountId);
      model.spent.delete(accountId);
      for (const [name, owner] of model.made) if (owner === accountId) model.made.delete(name);
      continue;
    }
    const { creditedMsat, spentMsat, reservedMsat, expiredMsat, balanceMsat } = account;
    assert.equal(creditedMsat, spentMsat + reservedMsat + expiredMsat + balanceMsat);
    assert.equal(creditedMsat, model.credited.get(accountId) ?? 0, 'credited');
    assert.equal(spentMsat, model.spent.get(accountId) ?? 0, 'spent');
  }
}

/** One payment has one account, amount and end, as minted. */
function termsOf(n: number, startSec: number) {
  const lives = [300, 2_000, 50_000, 120_000];
  return {
    accountId: ACCOUNTS[n % ACCOUNTS.length] ?? '',
    service: SERVICE,
    amountMsat: msat(100 + n),
    expiresAtSec: startSec + (lives[n % lives.length] ?? 0) + n,
  };
}

function noteCredit(model: Model, creditKey: string, accountId: string, amountMsat: number): void {
  assert.ok(!model.payments.has(creditKey), 'no payment is credited twice');
  model.payments.add(creditKey);
  add(model.credited, accountId, amountMsat);
}

const payment = fc.integer({ min: 1, max: 24 });
const accountId = fc.constantFrom(...ACCOUNTS);
const amount = fc.integer({ min: 0, max: 90 }).map((n) => msat(n));
const key = fc.integer({ min: 1, max: 10 }).map((n) => `key ${n}`);
const leaseId = fc.integer({ min: 1, max: 4 }).map((n) => `lease ${n}`);

const redeem = payment.map((n) =>
  command(`redeem ${n}`, async (model, { store, startSec }) => {
    const { amountMsat, ...terms } = termsOf(n, startSec);
    const before = await store.account(terms.accountId);
    const { kind } = await store.redeem({ ...terms, paymentHash: hash(n), creditMsat: amountMsat });
    assert.notEqual(kind, 'taken');
    const after = await store.account(terms.accountId);
    const grew = (after?.creditedMsat ?? 0) - (before?.creditedMsat ?? 0);
    if (kind === 'claimed' || kind === 'repeated') assert.ok(model.payments.has(hash(n)) || grew > 0);
    if (grew > 0) noteCredit(model, hash(n), terms.accountId, amountMsat);
  }),
);

const credit = payment.map((n) =>
  command(`credit ${n}`, async (model, { store, startSec }) => {
    const terms = termsOf(n, startSec);
    const { kind } = await store.credit({ ...terms, creditKey: hash(n) });
    if (kind === 'credited') noteCredit(model, hash(n), terms.accountId, terms.amountMsat);
  }),
);

const topUp = payment.map((n) =>
  command(`offer and settle ${n}`, async (model, { store, startSec }) => {
    const { expiresAtSec, ...terms } = termsOf(n, startSec);
    const offer = {
      ...terms,
      paymentHash: hash(n),
      invoiceExpiresAtSec: expiresAtSec,
      creditExpiresAtSec: expiresAtSec,
    };
    await store.offer(offer, 100).catch(() => {});
    const before = (await store.account(terms.accountId))?.creditedMsat ?? 0;
    const settled = await store.settleOffer(hash(n), msat(terms.amountMsat + 3));
    if (settled.kind !== 'credited') return;
    const grew = settled.account.creditedMsat - before;
    if (grew > 3) noteCredit(model, hash(n), terms.accountId, terms.amountMsat);
    if (grew === 3 || grew > terms.amountMsat) noteCredit(model, `${hash(n)}:excess`, terms.accountId, 3);
  }),
);

function canPay(account: Account | undefined, amountMsat: number): boolean {
  return (
    account !== undefined && !account.revoked && account.balanceMsat >= amountMsat && account.balanceMsat > 0
  );
}

const spend = fc.tuple(accountId, key, amount).map(([id, k, amountMsat]) =>
  command(`spend ${k} ${amountMsat}`, async (model, { store }) => {
    const name = `${id} ${amountMsat} ${k}`;
    const before = await store.account(id);
    const { kind } = await store.spend({ accountId: id, key: name, amountMsat });
    const known = (model.keys.get(name) ?? 0) > model.nowSec;
    if (kind === 'spent') {
      assert.ok(!known, 'a key does not spend twice');
      assert.ok(canPay(before, amountMsat) || amountMsat === 0);
      model.keys.set(name, model.nowSec + SPEND_KEY_TTL_SEC);
      model.voided.delete(name);
      model.made.set(name, id);
      add(model.spent, id, amountMsat);
    } else if (!known && canPay(before, amountMsat)) {
      assert.ok(kind === 'repeated' || kind === 'voided', `${kind}, with money enough`);
    }
  }),
);

const voidSpend = fc.tuple(accountId, key, amount).map(([id, k, amountMsat]) =>
  command(`void ${k} ${amountMsat}`, async (model, { store }) => {
    const name = `${id} ${amountMsat} ${k}`;
    const { kind } = await store.voidSpend({ accountId: id, key: name, amountMsat });
    if (kind === 'voided') {
      assert.ok(!model.voided.has(name), 'a spend is given back once');
      model.voided.add(name);
      model.made.delete(name);
      add(model.spent, id, -amountMsat);
    }
    if (kind === 'unknown') model.keys.set(name, model.nowSec + SPEND_KEY_TTL_SEC);
  }),
);

const refundSpend = fc.tuple(accountId, key, amount).map(([id, k, amountMsat]) =>
  command(`refund ${k} ${amountMsat}`, async (model, { store }) => {
    const name = `${id} ${amountMsat} ${k}`;
    // As a gateway does: only what it was told was spent, and once.
    if (!model.made.delete(name)) return;
    const { kind } = await store.refundSpend({ accountId: id, key: name, amountMsat });
    assert.notEqual(kind, 'unknown-account');
    if (kind === 'repeated') return;
    model.voided.add(name);
    model.keys.set(name, model.nowSec + SPEND_KEY_TTL_SEC);
    add(model.spent, id, -amountMsat);
  }),
);

let tries = 0;

const attempt = fc
  .tuple(
    accountId,
    key,
    fc.constantFrom(
      'delivered' as const,
      'undelivered' as const,
      'refunded' as const,
      'voided' as const,
      'voided-first' as const,
    ),
  )
  .map(([id, k, end]) =>
    command(`attempt ${k} ${end}`, async (model, { store }) => {
      tries += 1;
      const asked = {
        accountId: id,
        key: `${id} ${k}`,
        attemptId: `try ${tries}`,
        amountMsat: msat(7),
        fingerprint: 'f',
        inFlightSec: 30,
      };
      const before = (await store.account(id))?.spentMsat ?? 0;
      if (end === 'voided-first') await store.voidAttempt(asked);
      const { kind } = await store.beginAttempt(asked);
      if (end === 'voided') await store.voidAttempt(asked);
      else if (end !== 'voided-first') await store.endAttempt(asked, end);
      const grew = ((await store.account(id))?.spentMsat ?? 0) - before;
      assert.equal(grew, kind === 'spent' && (end === 'delivered' || end === 'undelivered') ? 7 : 0);
      add(model.spent, id, grew);
    }),
  );

const reserve = fc.tuple(accountId, leaseId, amount).map(([id, lease, amountMsat]) =>
  command(`reserve ${lease} ${amountMsat}`, async (_model, { store }) => {
    await store.reserve({ accountId: id, leaseId: lease, amountMsat, ttlSec: 40, maxLeases: 3 });
  }),
);

const commit = fc
  .tuple(accountId, leaseId, fc.integer({ min: 1, max: 9 }), amount, amount)
  .map(([id, lease, slice, spendMsat, reserveMsat]) =>
    command(`commit ${lease} #${slice} ${spendMsat} ${reserveMsat}`, async (model, { store }) => {
      const asked = { accountId: id, leaseId: lease, slice, spendMsat, reserveMsat, ttlSec: 40 };
      const [outcome] = await store.commit([asked]).catch(() => []);
      if (outcome === undefined || outcome.kind === 'gone' || outcome.kind === 'repeated') return;
      add(model.spent, id, spendMsat);
    }),
  );

const release = fc.tuple(accountId, leaseId, amount).map(([id, lease, spendMsat]) =>
  command(`release ${lease} ${spendMsat}`, async (model, { store }) => {
    const outcome = await store.release({ accountId: id, leaseId: lease, spendMsat }).catch(() => undefined);
    if (outcome?.kind === 'released') add(model.spent, id, spendMsat);
  }),
);

const sharedSpan = fc.tuple(fc.nat(40), fc.nat(20)).map(([from, length]): Span => [from, from + length]);

/** Between nothing and all of it, as the store says. */
const commitShared = fc
  .tuple(accountId, leaseId, fc.integer({ min: 1, max: 9 }), amount, sharedSpan)
  .map(([id, lease, slice, spendMsat, span]) =>
    command(`commit ${lease} #${slice} ${spendMsat} for ${span}`, async (model, { store }) => {
      const shared = { key: 'k', spans: [span] };
      const asked = {
        accountId: id,
        leaseId: lease,
        slice,
        spendMsat,
        reserveMsat: msat(20),
        ttlSec: 40,
        shared,
      };
      const [outcome] = await store.commit([asked]).catch(() => []);
      if (outcome === undefined || outcome.kind === 'gone' || outcome.kind === 'repeated') return;
      assert.ok(outcome.billedMsat !== undefined && outcome.billedMsat <= spendMsat);
      add(model.spent, id, outcome.billedMsat);
    }),
  );

const releaseShared = fc.tuple(accountId, leaseId, amount, sharedSpan).map(([id, lease, spendMsat, span]) =>
  command(`release ${lease} ${spendMsat} for ${span}`, async (model, { store }) => {
    const asked = { accountId: id, leaseId: lease, spendMsat, shared: { key: 'k', spans: [span] } };
    const outcome = await store.release(asked).catch(() => undefined);
    if (outcome?.kind !== 'released') return;
    assert.ok(outcome.billedMsat !== undefined && outcome.billedMsat <= spendMsat);
    add(model.spent, id, outcome.billedMsat);
  }),
);

const advance = fc.constantFrom(1, 20, 45, 300, 700, 40_000, -10, -5_000).map((seconds) =>
  command(`advance ${seconds} s`, async (_model, { clock }) => {
    clock.advanceSec(seconds);
  }),
);

const purge = fc.constant(
  command('purge', async (_model, { store }) => {
    await store.purge();
  }),
);

const revoke = accountId.map((id) =>
  command(`revoke ${id.slice(-1)}`, async (_model, { store, clock }) => {
    await store.revoke(id, clock.nowSec() + 300);
  }),
);

const money = [redeem, redeem, credit, topUp, spend, spend, spend, voidSpend, refundSpend, attempt];
const streams = [reserve, reserve, commit, commit, commitShared, release, releaseShared];
// Rare, because little happens to an account after it.
const seldomRevoke = fc.oneof({ weight: 1, arbitrary: revoke }, { weight: 9, arbitrary: purge });

/** Random runs of all verbs. */
export const commandRuns = fc.commands([...money, ...streams, advance, purge, seldomRevoke], {
  maxCommands: 80,
  size: 'max',
});

/** An empty model. */
export function emptyModel(): Model {
  return {
    credited: new Map(),
    spent: new Map(),
    payments: new Set(),
    keys: new Map(),
    made: new Map(),
    voided: new Set(),
    nowSec: 0,
  };
}

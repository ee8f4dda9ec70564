import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Account, PaymentEntry } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { type Bought, openBooks, type Sent } from './books.ts';
import type { Evidence } from './evidence.ts';
import type { Facts } from './facts.ts';
import { createTimeline } from './timeline.ts';
import { verify } from './verify.ts';

/* A run in which one client bought two calls and made one, and another paid for a pass and never came: and what is found when it is not so. */

const HASH = 'aa'.repeat(32);
const LOST = 'bb'.repeat(32);

const BOUGHT: Bought = {
  client: 1,
  paymentHash: HASH,
  macaroon: '',
  accountId: 'a1',
  service: 'bundle',
  creditMsat: 20_000,
  payment: { kind: 'paid', amountMsat: 20_000, preimage: '' },
  intention: 'use',
};
const ABANDONED: Bought = {
  ...BOUGHT,
  client: 2,
  paymentHash: LOST,
  accountId: 'a2',
  service: 'pass',
  creditMsat: 0,
  intention: 'abandon',
};
const SENT: Sent = {
  client: 1,
  id: 'c1-1',
  gateway: 0,
  service: 'bundle',
  accountId: 'a1',
  paymentHash: HASH,
  idempotencyKey: undefined,
  intent: 'honest',
  sentAtMs: 0,
  headAtMs: 10,
  endedAtMs: 20,
  status: 200,
  fromUpstream: true,
  end: 'whole',
  bytes: 64,
  wantedBytes: 0,
  expectedBytes: 64,
  runs: [],
  holds: [],
};
const ACCOUNT: Account = {
  accountId: 'a1',
  service: 'bundle',
  creditedMsat: msat(20_000),
  spentMsat: msat(10_000),
  reservedMsat: msat(0),
  expiredMsat: msat(0),
  balanceMsat: msat(10_000),
  expiresAtSec: 2_000_000_000,
  revoked: false,
};
const ENTRY: PaymentEntry = {
  paymentHash: HASH,
  claim: {
    paymentHash: HASH,
    accountId: 'a1',
    service: 'bundle',
    creditMsat: msat(20_000),
    expiresAtSec: 2_000_000_000,
  },
  offer: undefined,
  creditedMsat: msat(20_000),
  excessMsat: undefined,
};
const NO_ENTRY: PaymentEntry = {
  paymentHash: LOST,
  claim: undefined,
  offer: undefined,
  creditedMsat: undefined,
  excessMsat: undefined,
};

/** When something was served does not matter here. */
const NEVER = { fromMs: 0, untilMs: 0 };
const OFFER: NonNullable<PaymentEntry['offer']> = {
  paymentHash: HASH,
  accountId: 'a1',
  service: 'bundle',
  amountMsat: msat(20_000),
  invoiceExpiresAtSec: 2_000_000_000,
  creditExpiresAtSec: 2_000_000_000,
  settled: true,
};

const SERVED = {
  id: 'c1-1',
  service: 'bundle',
  accountId: 'a1',
  end: 'finished',
  bytes: 64,
  ...NEVER,
} as const;

interface Changes {
  readonly forgotten?: readonly string[];
  readonly payment?: Bought['payment'];
  readonly account?: Partial<Account>;
  readonly entry?: Partial<PaymentEntry>;
  readonly settled?: readonly (readonly [string, number])[];
  readonly sent?: readonly Sent[];
  readonly served?: Evidence['served'];
  readonly facts?: Partial<Facts>;
}

function evidence(changes: Changes = {}): Evidence {
  const books = openBooks();
  const bought = changes.payment === undefined ? BOUGHT : { ...BOUGHT, payment: changes.payment };
  for (const one of [bought, ABANDONED]) books.bought.set(one.paymentHash, one);
  books.sent.push(...(changes.sent ?? [SENT]));
  const account = { ...ACCOUNT, ...changes.account };
  const entries = new Map([
    [HASH, { ...ENTRY, ...changes.entry }],
    [LOST, NO_ENTRY],
  ]);
  const facts: Facts = {
    settledMsat: new Map([[HASH, 20_000], [LOST, 20_000], ...(changes.settled ?? [])]),
    entries,
    unmended: entries,
    accounts: new Map([['a1', account]]),
    totals: { ...account, accounts: 1, claims: 1 },
    reconciled: {
      coverage: 'complete',
      others: 0,
      tallies: { missing: { payments: 0, paidMsat: 0 }, unclaimed: { payments: 1, paidMsat: 20_000 } },
    },
    ...changes.facts,
  };
  return {
    books,
    facts,
    served: changes.served ?? [SERVED],
    timeline: createTimeline(() => 0),
    forgotten: changes.forgotten ?? [],
    complaints: [],
  };
}

/** Titles of what does not hold. */
function failing(changes: Changes): string[] {
  return verify(evidence(changes)).flatMap(({ title, faults }) => (faults.length > 0 ? [title] : []));
}

function fails(changes: Changes, ...titles: readonly RegExp[]): void {
  const failed = failing(changes);
  for (const title of titles)
    assert.ok(
      failed.some((one) => title.test(one)),
      `${title} among ${failed.join(' | ')}`,
    );
}

test('books that agree agree', () => {
  assert.deepEqual(failing({}), []);
});

test('a payment that was credited twice, or a msat short, is found', () => {
  fails({ entry: { creditedMsat: msat(40_000) } }, /credited once/);
  fails({ entry: { creditedMsat: msat(19_999) } }, /credited once/);
  fails({ entry: { excessMsat: msat(1) } }, /credited once/);
  fails(
    { account: { creditedMsat: msat(20_001), balanceMsat: msat(10_001) } },
    /nothing but/,
    /each account/,
  );
});

test('an overpayment that was credited with the invoice, or not whole, or mended where the gateways should have credited it, is found', () => {
  const payment = { kind: 'paid', amountMsat: 20_007, preimage: '' } as const;
  const entry = { ...ENTRY, excessMsat: msat(7) };
  const account = { creditedMsat: msat(20_007), balanceMsat: msat(10_007) };
  const settled = [[HASH, 20_007]] as const;
  assert.deepEqual(failing({ payment, entry, account, settled }), []);
  fails({ payment, settled, entry: { creditedMsat: msat(20_007) }, account }, /above an invoice/);
  fails({ payment, settled, entry: { excessMsat: msat(6) }, account }, /above an invoice/);
  const unmended = (before: Partial<PaymentEntry>) => new Map([[HASH, { ...entry, ...before }]]);
  const late = { payment, settled, entry, account, facts: { unmended: unmended({ excessMsat: undefined }) } };
  assert.deepEqual(failing(late), []);
  fails({ ...late, facts: { unmended: unmended({ creditedMsat: undefined }) } }, /above an invoice/);
  fails({ ...late, entry: { ...entry, offer: OFFER } }, /above an invoice/);
});

test('a payment that was served for and forgotten is found, also when it was made good', () => {
  fails({ forgotten: [HASH] }, /had served for/);
});

test('a payment that was lost is found', () => {
  fails({ entry: { creditedMsat: undefined, claim: undefined } }, /credited once/);
});

test('a payment at the node that nobody made is found', () => {
  fails({ settled: [['cc'.repeat(32), 1_000]] }, /what the node settled/);
});

test('an account whose sums do not hold, or that has something set aside for ever, is found', () => {
  fails({ account: { balanceMsat: msat(9_999) } }, /spent \+ reserved/);
  fails({ account: { balanceMsat: msat(9_999), reservedMsat: msat(1) } }, /spent \+ reserved/);
});

test('a call that was charged twice, or not at all, is found', () => {
  fails({ account: { spentMsat: msat(20_000), balanceMsat: msat(0) } }, /calls: each account/);
  fails(
    { account: { spentMsat: msat(0), balanceMsat: msat(20_000) } },
    /calls: each account/,
    /nobody was served unpaid/,
  );
});

test('an answer of the upstream for an account whose client did not ask is found', () => {
  fails({ served: [{ ...SERVED, id: 'c9-9' }] }, /nobody was served unpaid/);
});

test('a cheat that was served is found', () => {
  fails({ sent: [SENT, { ...SENT, id: 'c3-1', intent: 'cheat' }] }, /cheats got nothing/);
  const served = {
    id: 'c3-1',
    service: 'call',
    accountId: '',
    end: 'finished',
    bytes: 64,
    ...NEVER,
  } as const;
  const cheat: Sent = { ...SENT, id: 'c3-1', intent: 'cheat', status: 402, fromUpstream: false };
  fails({ sent: [SENT, cheat], served: [served] }, /cheats got nothing/);
});

test('one paid call that was served at two gateways is found', () => {
  const contest = [1, 2].map((n) => ({ ...SENT, id: `c4-${n}`, intent: 'contest' }) as const);
  const served = contest.map(
    ({ id }) => ({ id, service: 'call', accountId: 'a1', end: 'finished', bytes: 1, ...NEVER }) as const,
  );
  fails({ sent: contest, served }, /served once/);
});

test('a pass that was not paid for and served is found', () => {
  const served = {
    id: 'c5-1',
    service: 'pass',
    accountId: 'a2',
    end: 'finished',
    bytes: 64,
    ...NEVER,
  } as const;
  fails({ served: [served] }, /passes served only/);
});

test('a request that broke off with no fault near it is found', () => {
  fails({ sent: [{ ...SENT, end: 'broken' }] }, /cut by a fault/);
  fails({ sent: [{ ...SENT, status: 500, fromUpstream: false }] }, /cut by a fault/);
});

test('a report of reconcile that differs is found', () => {
  const tallies = {
    missing: { payments: 1, paidMsat: 20_000 },
    unclaimed: { payments: 1, paidMsat: 20_000 },
  };
  fails({ facts: { reconciled: { coverage: 'complete', others: 0, tallies } } }, /reconcile/);
});

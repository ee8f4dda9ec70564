import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { checkInvoice, decodeInvoice } from '../../node/bolt11.ts';
import { msat } from '../../node/msat.ts';
import {
  type HoldInvoices,
  type Invoice,
  type LightningNode,
  NodeError,
  type Payer,
  type SettledInvoice,
  type Settlement,
} from '../../node/node.ts';
import type { Simnet } from '../../node/simnet/types.ts';
import { eventually } from '../support/eventually.ts';

/** One network with a receiver and a payer on it, behind the adapters under test. */
export interface NodeBench {
  readonly node: LightningNode;
  readonly payer: Payer;
  /** Where the feed stands: what settles on this bench comes after it. 0 on a network of its own. */
  readonly start: number;
  /** The key that signs the receiver's invoices. */
  readonly receiverKey: string;
  /** Unix seconds, by the clock of the network. */
  nowSec(): number;
  /** What the receiver holds. */
  receiverMsat(): Promise<number>;
  /** An invoice whose time is over. */
  expiredInvoice(): Promise<Invoice>;
  /** Whether the node under test can be reached. */
  setOffline(offline: boolean): Promise<void>;
  /** From now on, payments fail, or no longer. */
  failPayments(fail: boolean): Promise<void>;
  /** From now on, payments stay under way until they are released. */
  holdPayments(): void;
  /** Resolves when the next payment is under way. Called before it is made. */
  nextFlight(): Promise<void>;
  /** Lets the payments through that wait. */
  releasePayments(): void;
  /** How long a payment that is held may take until it is surely under way, ms. */
  readonly flightMs: number;
  /** Absent on a real network: fees, wallets and time can't be set there. */
  readonly simulated?: { readonly simnet: Simnet; advanceSec(seconds: number): void };
  close(): Promise<void>;
}

/** A bench on the simulated network. */
export type SimulatedBench = NodeBench & Required<Pick<NodeBench, 'simulated'>>;

export const START_MS = 1_800_000_000_000;
const NO_FEE = { maxFeeMsat: msat(0), timeoutMs: 5_000 };
/** A real node may read its clock a moment after us. */
const CLOCK_SLACK_SEC = 2;

/** What every adapter must do. Runs each test on a bench of its own; what only a simulated network can show is skipped elsewhere. */
export function nodeContract(name: string, openBench: () => Promise<NodeBench>): void {
  const on: On = (title, check) =>
    test(title, async () => {
      const bench = await openBench();
      try {
        await check(bench);
      } finally {
        await bench.close();
      }
    });
  describe(`${name}: receiving`, () => receiving(on));
  describe(`${name}: settlements`, () => settling(on));
  describe(`${name}: listing`, () => listing(on));
  describe(`${name}: holding`, () => holding(on));
  describe(`${name}: paying`, () => paying(on));
  describe(`${name}: failing`, () => failing(on));
}

type On = (title: string, check: (bench: NodeBench) => Promise<void>) => void;

/** A test that needs fees, wallets or time to be set. */
function onSimulated(on: On, title: string, check: (bench: SimulatedBench) => Promise<void>): void {
  on(title, async (bench) => {
    const { simulated } = bench;
    if (simulated !== undefined) await check({ ...bench, simulated });
  });
}

function receiving(on: On): void {
  on('info tells alias, key, network and sync', async ({ node, receiverKey }) => {
    const info = await node.info();
    assert.equal(info.publicKey, receiverKey);
    assert.equal(info.network, 'regtest');
    assert.equal(info.synced, true);
    assert.notEqual(info.alias, '');
  });

  on('what can be received is not more than what the channels hold', async ({ node }) => {
    const seen = await node.receivable?.();
    if (seen === undefined) return;
    assert.ok(seen.largestReceivableMsat > 0 && seen.largestReceivableMsat <= seen.inboundMsat);
    assert.ok(seen.activeChannels > 0 && seen.synced);
  });

  on('a new invoice decodes, and holds against what was asked', async ({ node, nowSec }) => {
    const { publicKey } = await node.info();
    const askedSec = nowSec();
    const request = { amountMsat: msat(10_001), memo: 'quote: ☕', expirySec: 60 };
    const invoice = await node.createInvoice(request);
    const asked = { ...request, network: 'regtest', payee: publicKey } as const;
    const decoded = checkInvoice(invoice, { ...asked, nowSec: nowSec(), maxExpirySec: 60 });
    assert.equal(decoded.memo, 'quote: ☕');
    assert.equal(decoded.expiresAtSec, invoice.expiresAtSec);
    assertBetween(decoded.expiresAtSec, askedSec + 60, nowSec() + 60);
    assert.equal(decoded.expirySec, 60);
  });

  on('no two invoices share a payment hash', async ({ node }) => {
    const invoices = await Promise.all(Array.from({ length: 20 }, () => issue(node)));
    assert.equal(new Set(invoices.map((invoice) => invoice.paymentHash)).size, 20);
  });

  on('an invoice is open, and expires by the clock', async ({ node, expiredInvoice }) => {
    const invoice = await issue(node);
    assert.deepEqual(await node.lookupInvoice(invoice.paymentHash), { kind: 'open' });
    const expired = await expiredInvoice();
    assert.deepEqual(await node.lookupInvoice(expired.paymentHash), { kind: 'expired' });
  });

  on('a cancelled invoice says so and takes no payment', async ({ node, payer }) => {
    const invoice = await issue(node);
    await node.cancelInvoice(invoice.paymentHash);
    await node.cancelInvoice(invoice.paymentHash);
    assert.deepEqual(await node.lookupInvoice(invoice.paymentHash), { kind: 'cancelled' });
    assert.equal((await payer.payInvoice(invoice.bolt11, NO_FEE)).kind, 'failed');
  });

  on('cancelling what is settled or unknown changes nothing', async ({ node, payer }) => {
    const invoice = await issue(node);
    await payer.payInvoice(invoice.bolt11, NO_FEE);
    await node.cancelInvoice(invoice.paymentHash);
    await node.cancelInvoice('ab'.repeat(32));
    assert.equal((await node.lookupInvoice(invoice.paymentHash))?.kind, 'settled');
  });

  on('an unknown hash has no invoice and no payment', async ({ node, payer }) => {
    assert.equal(await node.lookupInvoice('ab'.repeat(32)), undefined);
    assert.equal(await payer.lookupPayment('ab'.repeat(32)), undefined);
  });

  on('a description hash stands in the invoice in place of the memo', async ({ node, nowSec }) => {
    const descriptionHash = sha256(Buffer.from('a longer description').toString('hex'));
    const request = { amountMsat: msat(1_000), memo: 'short', expirySec: 60, descriptionHash };
    const invoice = await node.createInvoice(request);
    const asked = { ...request, network: 'regtest', nowSec: nowSec() } as const;
    const decoded = checkInvoice(invoice, asked);
    assert.deepEqual([decoded.descriptionHash, decoded.memo], [descriptionHash, undefined]);
    const { descriptionHash: _, ...unhashed } = asked;
    for (const other of [unhashed, { ...asked, descriptionHash: sha256('00') }]) {
      assert.throws(() => checkInvoice(invoice, other), { code: 'bad-invoice', message: /description hash/ });
    }
    await rejectsWith(node.createInvoice({ ...request, descriptionHash: 'ab' }), 'rejected');
  });

  on('any memo stands in the invoice as it was asked for, and no other one', async ({ node, nowSec }) => {
    const terms = { amountMsat: msat(1_000), expirySec: 60 };
    const memos = ['', 'a "b" \\ <c> & d\n', '☕ 🚀 e\u0301', 'half \ud83d', `${'é'.repeat(319)}x`];
    for (const memo of memos) {
      const invoice = await node.createInvoice({ ...terms, memo });
      const asked = { ...terms, network: 'regtest', nowSec: nowSec() } as const;
      checkInvoice(invoice, { ...asked, memo });
      assert.throws(() => checkInvoice(invoice, { ...asked, memo: `${memo}.` }), { code: 'bad-invoice' });
    }
  });

  on('a time that is no whole number of seconds, or none, is refused', async (bench) => {
    const { node } = bench;
    const { paymentHash } = newPreimage();
    for (const expirySec of [1.5, Number.NaN, 2 ** 70, 0, -1]) {
      const request = { amountMsat: msat(1_000), memo: 'test', expirySec };
      await rejectsWith(node.createInvoice(request), 'rejected');
      assert.ok(node.hold);
      await rejectsWith(node.hold.create({ ...request, paymentHash }), 'rejected');
    }
    assert.equal(await node.lookupInvoice(paymentHash), undefined);
  });

  on('a memo over 639 bytes is refused', async ({ node }) => {
    const request = { amountMsat: msat(1_000), memo: 'x'.repeat(640), expirySec: 60 };
    await rejectsWith(node.createInvoice(request), 'rejected');
  });
}

function settling(on: On): void {
  on('a payment settles the invoice: the look-up shows preimage, amount and time', async (bench) => {
    const invoice = await issue(bench.node);
    bench.simulated?.advanceSec(5);
    const beforeSec = bench.nowSec();
    const paid = await pay(bench, invoice);
    const state = await bench.node.lookupInvoice(invoice.paymentHash);
    assert.ok(state?.kind === 'settled');
    const { settledAtSec, ...rest } = state;
    assert.deepEqual(rest, { kind: 'settled', preimage: paid.preimage, paidMsat: 10_000 });
    assertBetween(settledAtSec, beforeSec, bench.nowSec());
  });

  on('the feed begins with the first settlement, in order, and goes on after any cursor', async (bench) => {
    const invoices = [await issue(bench.node), await issue(bench.node), await issue(bench.node)];
    for (const invoice of invoices) await pay(bench, invoice);
    const all = await take(bench.node, bench.start, 3);
    assert.deepEqual(
      all.map((settlement) => settlement.paymentHash),
      invoices.map((invoice) => invoice.paymentHash),
    );
    assert.deepEqual(
      all.map((settlement) => settlement.cursor),
      [bench.start + 1, bench.start + 2, bench.start + 3],
    );
    const rest = await take(bench.node, all[0]?.cursor ?? 0, 2);
    assert.deepEqual(rest, all.slice(1));
    for (const { preimage, paymentHash } of all) assert.equal(sha256(preimage), paymentHash);
  });

  on('a feed that waits at the beginning gets the first settlement when it happens', async (bench) => {
    const waiting = take(bench.node, bench.start, 2);
    const first = await issue(bench.node);
    await pay(bench, first);
    const second = await issue(bench.node);
    await pay(bench, second);
    assert.deepEqual(
      (await waiting).map((settlement) => settlement.paymentHash),
      [first.paymentHash, second.paymentHash],
    );
  });

  on('nothing is missed or repeated between reconnects', async (bench) => {
    let cursor = bench.start;
    const seen: string[] = [];
    const paid: string[] = [];
    for (let round = 0; round < 5; round += 1) {
      for (let count = 0; count <= round; count += 1) {
        const invoice = await issue(bench.node);
        await pay(bench, invoice);
        paid.push(invoice.paymentHash);
      }
      for (const settlement of await take(bench.node, cursor, round + 1)) {
        seen.push(settlement.paymentHash);
        cursor = settlement.cursor;
      }
    }
    assert.deepEqual(seen, paid);
  });

  on('the feed ends without an error when its signal aborts', async ({ node, start }) => {
    const stop = new AbortController();
    const feed = collect(node, start, stop.signal);
    stop.abort();
    assert.deepEqual(await feed, []);
  });

  on('the feed ends with an error when the node goes', async (bench) => {
    const { node, start, setOffline } = bench;
    const stop = new AbortController();
    const invoice = await issue(node);
    await pay(bench, invoice);
    const feed = node.settlements(start, stop.signal)[Symbol.asyncIterator]();
    assert.equal((await feed.next()).value?.paymentHash, invoice.paymentHash);
    const next = feed.next();
    const ended = rejectsWith(next, 'unreachable');
    await setOffline(true);
    await ended;
    await setOffline(false);
  });
}

function listing(on: On): void {
  on('settled invoices are listed back in time with their memos, page by page', async (bench) => {
    const { node } = bench;
    assert.ok(node.settledInvoices);
    const fromSec = bench.nowSec() - CLOCK_SLACK_SEC;
    const [first, unpaid, last] = await Promise.all([issue(node), issue(node), issue(node)]);
    for (const invoice of [first, last]) await pay(bench, invoice);
    const seen = new Map<string, SettledInvoice>();
    let before = 0;
    for (let pages = 0; pages < 20; pages += 1) {
      const page = await node.settledInvoices({ createdFromSec: fromSec, before, limit: 1 });
      for (const invoice of page.invoices) seen.set(invoice.paymentHash, invoice);
      if (page.next === undefined) break;
      assert.ok(before === 0 || page.next < before, 'each page is older');
      before = page.next;
    }
    assert.equal(seen.has(unpaid.paymentHash), false);
    for (const invoice of [first, last]) {
      const listed = seen.get(invoice.paymentHash);
      assert.deepEqual([listed?.memo, listed?.paidMsat], ['test', 10_000]);
      assert.equal(listed?.expiresAtSec, invoice.expiresAtSec);
      assert.equal(listed?.createdAtSec, invoice.expiresAtSec - 60);
      assertBetween(listed?.settledAtSec ?? 0, fromSec, bench.nowSec() + CLOCK_SLACK_SEC);
    }
    const none = { createdFromSec: bench.nowSec() + 3_600, before: 0, limit: 100 };
    assert.deepEqual(await node.settledInvoices(none), { invoices: [] });
  });
}

function holding(on: On): void {
  on('a hold invoice is on the hash that was given, and takes no second one', async (bench) => {
    const { publicKey } = await bench.node.info();
    const { invoice, request, hold } = await issueHold(bench);
    assert.equal(invoice.paymentHash, request.paymentHash);
    const asked = { ...request, network: 'regtest', payee: publicKey } as const;
    checkInvoice(invoice, { ...asked, nowSec: bench.nowSec(), maxExpirySec: 60 });
    assert.deepEqual(await hold.lookup(invoice.paymentHash), { kind: 'open' });
    await rejectsWith(hold.create(request), 'rejected');
    assert.equal(await hold.lookup('ab'.repeat(32)), undefined);
  });

  on(
    'a payment is held until its receiver settles: only then is there a preimage, and money',
    async (bench) => {
      const { invoice, preimage, hold } = await issueHold(bench);
      const [before, earned] = [await bench.payer.balanceMsat(), await bench.receiverMsat()];
      const { paying, states } = await payHeld(bench, hold, invoice);
      assert.deepEqual(await hold.lookup(invoice.paymentHash), { kind: 'accepted', paidMsat: 10_000 });
      assert.deepEqual(await bench.node.lookupInvoice(invoice.paymentHash), { kind: 'open' });
      assert.deepEqual(await bench.payer.lookupPayment(invoice.paymentHash), { kind: 'in-flight' });
      await hold.settle(preimage);
      const paid = await paying;
      assert.deepEqual(paid, { kind: 'succeeded', preimage, amountMsat: 10_000, feeMsat: 0 });
      const end = await states.next();
      assert.ok(end.value?.kind === 'settled');
      assert.deepEqual([end.value.preimage, end.value.paidMsat], [preimage, 10_000]);
      assert.equal((await states.next()).done, true);
      await hold.settle(preimage);
      await bench.node.cancelInvoice(invoice.paymentHash);
      assert.equal((await hold.lookup(invoice.paymentHash))?.kind, 'settled');
      await settled(bench.payer.balanceMsat, before - 10_000);
      await settled(bench.receiverMsat, earned + 10_000);
      const [settlement] = await take(bench.node, bench.start, 1);
      assert.deepEqual([settlement?.paymentHash, settlement?.preimage], [invoice.paymentHash, preimage]);
    },
  );

  on('cancelling gives a held payment back, and nobody learns a preimage', async (bench) => {
    const { invoice, preimage, hold } = await issueHold(bench);
    const [before, earned] = [await bench.payer.balanceMsat(), await bench.receiverMsat()];
    const { paying, states } = await payHeld(bench, hold, invoice);
    await bench.node.cancelInvoice(invoice.paymentHash);
    const outcome = await paying;
    assert.ok(outcome.kind === 'failed' && /refused it/.test(outcome.reason), JSON.stringify(outcome));
    assert.deepEqual((await states.next()).value, { kind: 'cancelled' });
    await bench.node.cancelInvoice(invoice.paymentHash);
    assert.deepEqual(await hold.lookup(invoice.paymentHash), { kind: 'cancelled' });
    await rejectsWith(hold.settle(preimage), 'rejected');
    await settled(bench.payer.balanceMsat, before);
    await settled(bench.receiverMsat, earned);
  });

  on('settling is refused while nobody has paid, and with the preimage of nothing', async (bench) => {
    const { invoice, preimage, hold } = await issueHold(bench);
    await rejectsWith(hold.settle(preimage), 'rejected');
    const { paying } = await payHeld(bench, hold, invoice);
    await rejectsWith(hold.settle('12'.repeat(32)), 'rejected');
    await rejectsWith(hold.settle('no preimage'), 'rejected');
    assert.equal((await hold.lookup(invoice.paymentHash))?.kind, 'accepted');
    await hold.settle(preimage);
    assert.equal((await paying).kind, 'succeeded');
  });

  on('what is held when its invoice expires stays held, and can be settled', async (bench) => {
    const { invoice, preimage, hold } = await issueHold(bench, { expirySec: 5 });
    const { paying } = await payHeld(bench, hold, invoice);
    bench.simulated?.advanceSec(8);
    await eventually(bench.nowSec, (nowSec) => nowSec > invoice.expiresAtSec + CLOCK_SLACK_SEC);
    assert.equal((await hold.lookup(invoice.paymentHash))?.kind, 'accepted');
    await hold.settle(preimage);
    assert.equal((await paying).kind, 'succeeded');
  });

  on('the states of an invoice that nobody pays end when it expires', async (bench) => {
    const { invoice, hold } = await issueHold(bench, { expirySec: 3 });
    const states = hold.states(invoice.paymentHash, new AbortController().signal)[Symbol.asyncIterator]();
    assert.deepEqual((await states.next()).value, { kind: 'open' });
    bench.simulated?.advanceSec(4);
    assert.deepEqual((await states.next()).value, { kind: 'expired' });
    assert.equal((await states.next()).done, true);
  });

  on(
    'the states of an unknown hash begin when there is an invoice, and end without an error',
    async (bench) => {
      const { hold } = bench.node;
      assert.ok(hold);
      const stop = new AbortController();
      const { paymentHash } = newPreimage();
      const states = hold.states(paymentHash, stop.signal)[Symbol.asyncIterator]();
      const first = states.next();
      await hold.create({ amountMsat: msat(10_000), memo: 'test', expirySec: 60, paymentHash });
      assert.deepEqual((await first).value, { kind: 'open' });
      stop.abort();
      assert.equal((await states.next()).done, true);
    },
  );

  on('the states end with an error when the node goes', async (bench) => {
    const { invoice, hold } = await issueHold(bench);
    const states = hold.states(invoice.paymentHash, new AbortController().signal)[Symbol.asyncIterator]();
    assert.deepEqual((await states.next()).value, { kind: 'open' });
    const ended = rejectsWith(states.next(), 'unreachable');
    await bench.setOffline(true);
    await ended;
    await rejectsWith(hold.settle('12'.repeat(32)), 'unreachable');
    await bench.setOffline(false);
  });
}

function paying(on: On): void {
  on('only payment reveals the preimage, and moves the amount once', async (bench) => {
    const invoice = await issue(bench.node);
    const [before, earned] = [await bench.payer.balanceMsat(), await bench.receiverMsat()];
    const paid = await pay(bench, invoice);
    assert.equal(sha256(paid.preimage), invoice.paymentHash);
    assert.deepEqual([paid.amountMsat, paid.feeMsat], [10_000, 0]);
    await settled(bench.payer.balanceMsat, before - 10_000);
    await settled(bench.receiverMsat, earned + 10_000);
  });

  onSimulated(on, 'a fee is paid beside the amount', async (bench) => {
    bench.simulated.simnet.configure({ baseFeeMsat: msat(1_000), feePpm: 10_000 });
    const invoice = await issue(bench.node);
    const before = await bench.payer.balanceMsat();
    const paid = await bench.payer.payInvoice(invoice.bolt11, { ...NO_FEE, maxFeeMsat: msat(1_100) });
    assert.ok(paid.kind === 'succeeded');
    assert.deepEqual([paid.amountMsat, paid.feeMsat], [10_000, 1_100]);
    assert.equal(await bench.payer.balanceMsat(), before - 11_100);
    assert.equal(await bench.receiverMsat(), 10_000);
  });

  on('paying twice pays once: the second answer is the first outcome', async (bench) => {
    const invoice = await issue(bench.node);
    const before = await bench.payer.balanceMsat();
    const first = await bench.payer.payInvoice(invoice.bolt11, NO_FEE);
    const second = await bench.payer.payInvoice(invoice.bolt11, NO_FEE);
    assert.deepEqual(second, first);
    await settled(bench.payer.balanceMsat, before - 10_000);
    assert.equal((await take(bench.node, bench.start, 1)).length, 1);
  });

  onSimulated(on, 'ten payers at once of one invoice: one pays', async (bench) => {
    const { simnet } = bench.simulated;
    const invoice = await issue(bench.node);
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, index) => {
        const wallet = simnet.wallet(`payer-${index}`);
        const { paymentHash } = wallet.pay({ bolt11: invoice.bolt11, maxFeeMsat: msat(0) });
        return wallet.finalPayment(paymentHash);
      }),
    );
    assert.equal(outcomes.filter((outcome) => outcome?.state === 'succeeded').length, 1);
    assert.equal(await bench.receiverMsat(), 10_000);
  });

  on('an expired invoice is not paid, and the reason says so', async ({ payer, expiredInvoice }) => {
    const invoice = await expiredInvoice();
    const outcome = await payer.payInvoice(invoice.bolt11, NO_FEE);
    assert.ok(outcome.kind === 'failed' && /invoice expired/.test(outcome.reason));
    assert.equal(await payer.lookupPayment(invoice.paymentHash), undefined);
  });

  on('too little balance fails and takes nothing', async ({ node, payer }) => {
    const balance = await payer.balanceMsat();
    const invoice = await issue(node, msat(balance + 1));
    const outcome = await payer.payInvoice(invoice.bolt11, NO_FEE);
    assert.deepEqual(outcome, { kind: 'failed', reason: 'insufficient balance' });
    assert.equal(await payer.balanceMsat(), balance);
    assert.deepEqual(await payer.lookupPayment(invoice.paymentHash), outcome);
  });

  onSimulated(on, 'a fee over the limit finds no route', async ({ node, payer, simulated }) => {
    simulated.simnet.configure({ baseFeeMsat: msat(2) });
    const invoice = await issue(node);
    const outcome = await payer.payInvoice(invoice.bolt11, { ...NO_FEE, maxFeeMsat: msat(1) });
    assert.ok(outcome.kind === 'failed' && /no route/.test(outcome.reason));
  });

  on('a payment that failed may be tried again', async (bench) => {
    const invoice = await issue(bench.node);
    await bench.failPayments(true);
    assert.equal((await bench.payer.payInvoice(invoice.bolt11, NO_FEE)).kind, 'failed');
    await bench.failPayments(false);
    await pay(bench, invoice);
    assert.equal((await bench.payer.lookupPayment(invoice.paymentHash))?.kind, 'succeeded');
  });

  on(
    'a payment that takes too long is in flight, is not paid again, and its end can be looked up',
    async (bench) => {
      const earned = await bench.receiverMsat();
      bench.holdPayments();
      const invoice = await issue(bench.node);
      const limit = { ...NO_FEE, timeoutMs: bench.flightMs };
      const first = await bench.payer.payInvoice(invoice.bolt11, limit);
      assert.deepEqual(first, { kind: 'in-flight' });
      assert.deepEqual(await bench.payer.lookupPayment(invoice.paymentHash), { kind: 'in-flight' });
      assert.deepEqual(await bench.node.lookupInvoice(invoice.paymentHash), { kind: 'open' });
      assert.equal((await bench.payer.history(1))[0]?.state, 'in-flight');
      const again = bench.payer.payInvoice(invoice.bolt11, { ...NO_FEE, timeoutMs: 50 });
      assert.deepEqual(await again, { kind: 'in-flight' });
      const [settlement] = await Promise.all([take(bench.node, bench.start, 1), bench.releasePayments()]);
      // The receiver has the money a moment before the payer has the preimage.
      const look = () => bench.payer.lookupPayment(invoice.paymentHash);
      const end = await eventually(look, (state) => state?.kind !== 'in-flight');
      assert.ok(end?.kind === 'succeeded');
      assert.equal(end.preimage, settlement[0]?.preimage);
      await settled(bench.receiverMsat, earned + 10_000);
    },
  );

  on('what is in flight can not be spent twice', async (bench) => {
    const { node, payer, releasePayments } = bench;
    bench.holdPayments();
    const balance = await payer.balanceMsat();
    // More than half, in whole sats, and less than a channel must keep back.
    const most = msat(Math.floor((balance * 0.6) / 1000) * 1000);
    const [first, second] = [await issue(node, most), await issue(node, most)];
    await payUntilInFlight(bench, first);
    // LND counts it once both sides have signed; it lets nobody spend it before either.
    if (bench.simulated) assert.equal(await payer.balanceMsat(), balance - most);
    assert.deepEqual(await payer.payInvoice(second.bolt11, NO_FEE), {
      kind: 'failed',
      reason: 'insufficient balance',
    });
    await Promise.all([take(node, bench.start, 1), releasePayments()]);
  });

  on('history lists the newest first, failures too', async (bench) => {
    const invoices = [await issue(bench.node), await issue(bench.node), await issue(bench.node)];
    await pay(bench, invoices[0]);
    await bench.node.cancelInvoice(invoices[1]?.paymentHash ?? '');
    await bench.payer.payInvoice(invoices[1]?.bolt11 ?? '', NO_FEE);
    bench.simulated?.advanceSec(7);
    const beforeSec = bench.nowSec();
    await pay(bench, invoices[2]);
    const history = await bench.payer.history(3);
    assert.deepEqual(
      history.map((record) => [record.paymentHash, record.state]),
      [
        [invoices[2]?.paymentHash, 'succeeded'],
        [invoices[1]?.paymentHash, 'failed'],
        [invoices[0]?.paymentHash, 'succeeded'],
      ],
    );
    assert.ok(history[0]);
    const { createdAtSec, ...newest } = history[0];
    assert.deepEqual(newest, {
      paymentHash: invoices[2]?.paymentHash,
      amountMsat: 10_000,
      feeMsat: 0,
      memo: 'test',
      state: 'succeeded',
    });
    assertBetween(createdAtSec, beforeSec, bench.nowSec());
    assert.equal((await bench.payer.history(2)).length, 2);
  });

  on('a string that is no invoice is refused before anything is sent', async ({ payer }) => {
    await rejectsWith(payer.payInvoice('lnbcrt1garbage', NO_FEE), 'bad-invoice');
  });
}

function failing(on: On): void {
  on('a node that is down is unreachable, and serves again when it is back', async (bench) => {
    const invoice = await issue(bench.node);
    await bench.setOffline(true);
    const hash = invoice.paymentHash;
    await rejectsWith(bench.node.info(), 'unreachable');
    await rejectsWith(issue(bench.node), 'unreachable');
    await rejectsWith(bench.node.lookupInvoice(hash), 'unreachable');
    await rejectsWith(bench.node.cancelInvoice(hash), 'unreachable');
    await rejectsWith(bench.payer.payInvoice(invoice.bolt11, NO_FEE), 'unreachable');
    await rejectsWith(bench.payer.lookupPayment(hash), 'unreachable');
    await rejectsWith(bench.payer.balanceMsat(), 'unreachable');
    await rejectsWith(bench.payer.history(1), 'unreachable');
    await rejectsWith(take(bench.node, bench.start, 1), 'unreachable');
    await bench.setOffline(false);
    await pay(bench, invoice);
  });
}

/** Takes settlements after a cursor, then lets the feed go. */
export async function take(node: LightningNode, cursor: number, count: number): Promise<Settlement[]> {
  const stop = new AbortController();
  const taken: Settlement[] = [];
  for await (const settlement of node.settlements(cursor, stop.signal)) {
    taken.push(settlement);
    if (taken.length === count) break;
  }
  stop.abort();
  return taken;
}

async function collect(node: LightningNode, cursor: number, signal: AbortSignal): Promise<Settlement[]> {
  const settlements: Settlement[] = [];
  for await (const settlement of node.settlements(cursor, signal)) settlements.push(settlement);
  return settlements;
}

/** Asserts that a promise rejects with a NodeError of that code. */
export async function rejectsWith(promise: Promise<unknown>, code: NodeError['code']): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof NodeError, `not a NodeError: ${String(error)}`);
    assert.equal(error.code, code, error.message);
    return true;
  });
}

function issue(node: LightningNode, amountMsat = msat(10_000)): Promise<Invoice> {
  return node.createInvoice({ amountMsat, memo: 'test', expirySec: 60 });
}

function newPreimage() {
  const preimage = randomBytes(32).toString('hex');
  return { preimage, paymentHash: sha256(preimage) };
}

async function issueHold({ node }: NodeBench, { expirySec } = { expirySec: 60 }) {
  const { hold } = node;
  assert.ok(hold);
  const { preimage, paymentHash } = newPreimage();
  const request = { amountMsat: msat(10_000), memo: 'test', expirySec, paymentHash };
  return { hold, preimage, request, invoice: await hold.create(request) };
}

/** Pays a hold invoice until the receiver has it. */
async function payHeld({ payer }: NodeBench, hold: HoldInvoices, invoice: Invoice) {
  const states = hold.states(invoice.paymentHash, new AbortController().signal)[Symbol.asyncIterator]();
  assert.deepEqual((await states.next()).value, { kind: 'open' });
  const paying = payer.payInvoice(invoice.bolt11, { ...NO_FEE, timeoutMs: 60_000 });
  assert.deepEqual((await states.next()).value, { kind: 'accepted', paidMsat: 10_000 });
  return { paying, states };
}

async function pay({ payer }: NodeBench, invoice: Invoice | undefined) {
  assert.ok(invoice);
  assert.equal(decodeInvoice(invoice.bolt11).paymentHash, invoice.paymentHash);
  const paid = await payer.payInvoice(invoice.bolt11, NO_FEE);
  assert.ok(paid.kind === 'succeeded', JSON.stringify(paid));
  return paid;
}

/** Starts a payment, and gives up on it once it is under way. */
async function payUntilInFlight({ payer, nextFlight }: NodeBench, invoice: Invoice): Promise<void> {
  const giveUp = new AbortController();
  const underWay = nextFlight();
  const outcome = payer.payInvoice(invoice.bolt11, { ...NO_FEE, signal: giveUp.signal });
  await underWay;
  giveUp.abort();
  assert.deepEqual(await outcome, { kind: 'in-flight' });
}

/** A real node moves the balance a moment after it told of the payment. */
async function settled(read: () => Promise<number>, expected: number): Promise<void> {
  await eventually(read, (value) => value === expected);
}

function assertBetween(valueSec: number, fromSec: number, toSec: number): void {
  assert.ok(valueSec >= fromSec - CLOCK_SLACK_SEC, `${valueSec} is before ${fromSec}`);
  assert.ok(valueSec <= toSec + CLOCK_SLACK_SEC, `${valueSec} is after ${toSec}`);
}

function sha256(hex: string): string {
  return createHash('sha256').update(Buffer.from(hex, 'hex')).digest('hex');
}

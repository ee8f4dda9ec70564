import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { checkInvoice, decodeInvoice } from '../../node/bolt11.ts';
import { msat } from '../../node/msat.ts';
import { type Invoice, type LightningNode, NodeError, type Payer, type Settlement } from '../../node/node.ts';
import type { Simnet } from '../../node/simnet/types.ts';

/** One network with a receiver and a payer on it, behind the adapters under test. */
export interface NodeBench {
  readonly simnet: Simnet;
  readonly node: LightningNode;
  readonly payer: Payer;
  /** The clock that all of it runs by; starts at {@link START_MS}. */
  advanceSec(seconds: number): void;
  /** Resolves when the next payment waits because of `latencyMs`. */
  nextFlight(): Promise<void>;
  /** Lets the payments through that wait. */
  releasePayments(): void;
  close(): Promise<void>;
}

export const START_MS = 1_800_000_000_000;
const START_SEC = START_MS / 1000;
const NO_FEE = { maxFeeMsat: msat(0), timeoutMs: 5_000 };

/** What every adapter must do, in play money. Runs each test on a bench of its own. */
export function nodeContract(name: string, openBench: () => Promise<NodeBench>): void {
  const on = (title: string, check: (bench: NodeBench) => Promise<void>) =>
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
  describe(`${name}: paying`, () => paying(on));
  describe(`${name}: failing`, () => failing(on));
}

type On = (title: string, check: (bench: NodeBench) => Promise<void>) => void;

function receiving(on: On): void {
  on('info tells alias, key, network and sync', async ({ node, simnet }) => {
    const info = await node.info();
    assert.equal(info.publicKey, simnet.wallet('gateway').publicKey);
    assert.equal(info.network, 'regtest');
    assert.equal(info.synced, true);
    assert.notEqual(info.alias, '');
  });

  on('a new invoice decodes, and holds against what was asked', async ({ node }) => {
    const { publicKey } = await node.info();
    const invoice = await node.createInvoice({ amountMsat: msat(10_001), memo: 'quote: ☕', expirySec: 60 });
    const asked = { amountMsat: msat(10_001), network: 'regtest', payee: publicKey } as const;
    const decoded = checkInvoice(invoice, { ...asked, nowSec: START_SEC, maxExpirySec: 60 });
    assert.equal(decoded.memo, 'quote: ☕');
    assert.equal(decoded.expiresAtSec, START_SEC + 60);
    assert.equal(decoded.expirySec, 60);
  });

  on('no two invoices share a payment hash', async ({ node }) => {
    const invoices = await Promise.all(Array.from({ length: 20 }, () => issue(node)));
    assert.equal(new Set(invoices.map((invoice) => invoice.paymentHash)).size, 20);
  });

  on('an invoice is open, and expires by the clock', async ({ node, advanceSec }) => {
    const invoice = await issue(node);
    assert.deepEqual(await node.lookupInvoice(invoice.paymentHash), { kind: 'open' });
    advanceSec(61);
    assert.deepEqual(await node.lookupInvoice(invoice.paymentHash), { kind: 'expired' });
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

  on('a memo over 639 bytes is refused', async ({ node }) => {
    const request = { amountMsat: msat(1_000), memo: 'x'.repeat(640), expirySec: 60 };
    await rejectsWith(node.createInvoice(request), 'rejected');
  });
}

function settling(on: On): void {
  on('a payment settles the invoice: the look-up shows preimage, amount and time', async (bench) => {
    const invoice = await issue(bench.node);
    bench.advanceSec(5);
    const paid = await pay(bench, invoice);
    const state = await bench.node.lookupInvoice(invoice.paymentHash);
    assert.deepEqual(state, {
      kind: 'settled',
      preimage: paid.preimage,
      paidMsat: 10_000,
      settledAtSec: START_SEC + 5,
    });
  });

  on('the feed begins with the first settlement, in order, and goes on after any cursor', async (bench) => {
    const invoices = [await issue(bench.node), await issue(bench.node), await issue(bench.node)];
    for (const invoice of invoices) await pay(bench, invoice);
    const all = await take(bench.node, 0, 3);
    assert.deepEqual(
      all.map((settlement) => settlement.paymentHash),
      invoices.map((invoice) => invoice.paymentHash),
    );
    assert.deepEqual(
      all.map((settlement) => settlement.cursor),
      [1, 2, 3],
    );
    const rest = await take(bench.node, all[0]?.cursor ?? 0, 2);
    assert.deepEqual(rest, all.slice(1));
    for (const { preimage, paymentHash } of all) assert.equal(sha256(preimage), paymentHash);
  });

  on('a feed that waits at the beginning gets the first settlement when it happens', async (bench) => {
    const waiting = take(bench.node, 0, 2);
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
    let cursor = 0;
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

  on('the feed ends without an error when its signal aborts', async ({ node }) => {
    const stop = new AbortController();
    const feed = collect(node, 0, stop.signal);
    stop.abort();
    assert.deepEqual(await feed, []);
  });

  on('the feed ends with an error when the node goes', async ({ node, simnet }) => {
    const stop = new AbortController();
    const invoice = await issue(node);
    simnet.wallet('default').pay({ bolt11: invoice.bolt11, maxFeeMsat: msat(0) });
    const feed = node.settlements(0, stop.signal)[Symbol.asyncIterator]();
    assert.equal((await feed.next()).value?.paymentHash, invoice.paymentHash);
    const next = feed.next();
    simnet.configure({ offline: true });
    await rejectsWith(next, 'unreachable');
  });
}

function paying(on: On): void {
  on('only payment reveals the preimage, and moves amount and fee once', async (bench) => {
    bench.simnet.configure({ baseFeeMsat: msat(1_000), feePpm: 10_000 });
    const invoice = await issue(bench.node);
    const [before, merchant] = [await bench.payer.balanceMsat(), bench.simnet.wallet('gateway')];
    const paid = await bench.payer.payInvoice(invoice.bolt11, { ...NO_FEE, maxFeeMsat: msat(1_100) });
    assert.equal(paid.kind, 'succeeded');
    assert.ok(paid.kind === 'succeeded');
    assert.equal(sha256(paid.preimage), invoice.paymentHash);
    assert.deepEqual([paid.amountMsat, paid.feeMsat], [10_000, 1_100]);
    assert.equal(await bench.payer.balanceMsat(), before - 11_100);
    assert.equal(merchant.balanceMsat(), 10_000);
  });

  on('paying twice pays once: the second answer is the first outcome', async (bench) => {
    const invoice = await issue(bench.node);
    const before = await bench.payer.balanceMsat();
    const first = await bench.payer.payInvoice(invoice.bolt11, NO_FEE);
    const second = await bench.payer.payInvoice(invoice.bolt11, NO_FEE);
    assert.deepEqual(second, first);
    assert.equal(await bench.payer.balanceMsat(), before - 10_000);
    assert.equal((await take(bench.node, 0, 1)).length, 1);
  });

  on('ten payers at once of one invoice: one pays', async (bench) => {
    const invoice = await issue(bench.node);
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, index) => {
        const wallet = bench.simnet.wallet(`payer-${index}`);
        const { paymentHash } = wallet.pay({ bolt11: invoice.bolt11, maxFeeMsat: msat(0) });
        return wallet.finalPayment(paymentHash);
      }),
    );
    assert.equal(outcomes.filter((outcome) => outcome?.state === 'succeeded').length, 1);
    assert.equal(bench.simnet.wallet('gateway').balanceMsat(), 10_000);
  });

  on('an expired invoice is not paid, and the reason says so', async ({ node, payer, advanceSec }) => {
    const invoice = await issue(node);
    advanceSec(61);
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

  on('a fee over the limit finds no route', async ({ node, payer, simnet }) => {
    simnet.configure({ baseFeeMsat: msat(2) });
    const invoice = await issue(node);
    const outcome = await payer.payInvoice(invoice.bolt11, { ...NO_FEE, maxFeeMsat: msat(1) });
    assert.ok(outcome.kind === 'failed' && /no route/.test(outcome.reason));
  });

  on('a payment that failed may be tried again', async (bench) => {
    bench.simnet.configure({ failureRate: 1 });
    const invoice = await issue(bench.node);
    assert.equal((await bench.payer.payInvoice(invoice.bolt11, NO_FEE)).kind, 'failed');
    bench.simnet.configure({ failureRate: 0 });
    await pay(bench, invoice);
    assert.equal((await bench.payer.lookupPayment(invoice.paymentHash))?.kind, 'succeeded');
  });

  on(
    'a payment that takes too long is in flight, is not paid again, and its end can be looked up',
    async (bench) => {
      bench.simnet.configure({ latencyMs: 1 });
      const invoice = await issue(bench.node);
      const first = await bench.payer.payInvoice(invoice.bolt11, { ...NO_FEE, timeoutMs: 150 });
      assert.deepEqual(first, { kind: 'in-flight' });
      assert.deepEqual(await bench.payer.lookupPayment(invoice.paymentHash), { kind: 'in-flight' });
      assert.deepEqual(await bench.node.lookupInvoice(invoice.paymentHash), { kind: 'open' });
      assert.equal((await bench.payer.history(1))[0]?.state, 'in-flight');
      const again = bench.payer.payInvoice(invoice.bolt11, { ...NO_FEE, timeoutMs: 50 });
      assert.deepEqual(await again, { kind: 'in-flight' });
      const [settlement] = await Promise.all([take(bench.node, 0, 1), bench.releasePayments()]);
      const end = await bench.payer.lookupPayment(invoice.paymentHash);
      assert.ok(end?.kind === 'succeeded');
      assert.equal(end.preimage, settlement[0]?.preimage);
      assert.equal(bench.simnet.wallet('gateway').balanceMsat(), 10_000);
    },
  );

  on('what is in flight can not be spent twice', async (bench) => {
    const { node, payer, simnet, releasePayments } = bench;
    simnet.configure({ latencyMs: 1 });
    const balance = await payer.balanceMsat();
    const [first, second] = [await issue(node, balance), await issue(node)];
    await payUntilInFlight(bench, first);
    assert.equal(await payer.balanceMsat(), 0);
    assert.deepEqual(await payer.payInvoice(second.bolt11, NO_FEE), {
      kind: 'failed',
      reason: 'insufficient balance',
    });
    await Promise.all([take(node, 0, 1), releasePayments()]);
  });

  on('history lists the newest first, failures too', async (bench) => {
    const invoices = [await issue(bench.node), await issue(bench.node), await issue(bench.node)];
    await pay(bench, invoices[0]);
    bench.simnet.configure({ failureRate: 1 });
    await bench.payer.payInvoice(invoices[1]?.bolt11 ?? '', NO_FEE);
    bench.simnet.configure({ failureRate: 0 });
    bench.advanceSec(7);
    await pay(bench, invoices[2]);
    const history = await bench.payer.history(10);
    assert.deepEqual(
      history.map((record) => [record.paymentHash, record.state]),
      [
        [invoices[2]?.paymentHash, 'succeeded'],
        [invoices[1]?.paymentHash, 'failed'],
        [invoices[0]?.paymentHash, 'succeeded'],
      ],
    );
    assert.deepEqual(history[0], {
      paymentHash: invoices[2]?.paymentHash,
      amountMsat: 10_000,
      feeMsat: 0,
      memo: 'test',
      createdAtSec: START_SEC + 7,
      state: 'succeeded',
    });
    assert.equal((await bench.payer.history(2)).length, 2);
  });

  on('a string that is no invoice is refused before anything is sent', async ({ payer }) => {
    await rejectsWith(payer.payInvoice('lnbcrt1garbage', NO_FEE), 'bad-invoice');
  });
}

function failing(on: On): void {
  on('a node that is down is unreachable, and serves again when it is back', async (bench) => {
    const invoice = await issue(bench.node);
    bench.simnet.configure({ offline: true });
    const hash = invoice.paymentHash;
    await rejectsWith(bench.node.info(), 'unreachable');
    await rejectsWith(issue(bench.node), 'unreachable');
    await rejectsWith(bench.node.lookupInvoice(hash), 'unreachable');
    await rejectsWith(bench.node.cancelInvoice(hash), 'unreachable');
    await rejectsWith(bench.payer.payInvoice(invoice.bolt11, NO_FEE), 'unreachable');
    await rejectsWith(bench.payer.lookupPayment(hash), 'unreachable');
    await rejectsWith(bench.payer.balanceMsat(), 'unreachable');
    await rejectsWith(bench.payer.history(1), 'unreachable');
    await rejectsWith(take(bench.node, 0, 1), 'unreachable');
    bench.simnet.configure({ offline: false });
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

function sha256(hex: string): string {
  return createHash('sha256').update(Buffer.from(hex, 'hex')).digest('hex');
}

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { msat, sats, ZERO_MSAT } from '../../../node/msat.ts';
import { NodeError } from '../../../node/node.ts';
import { createSimnet } from '../../../node/simnet/simnet.ts';
import { type Simnet, SimnetRefusal } from '../../../node/simnet/types.ts';
import { openTestNet } from '../bench.ts';

const INVOICE = { amountMsat: msat(10_000), memo: 'quote', expirySec: 60 };

describe('paying', () => {
  test('nothing that the receiver can see holds the preimage before it was paid', async () => {
    const { simnet } = openTestNet();
    const gateway = simnet.wallet('gateway');
    const invoice = gateway.addInvoice(INVOICE);
    const shown = JSON.stringify([
      invoice,
      gateway.invoice(invoice.paymentHash),
      gateway.invoices({ offset: 0, limit: 10, order: 'forwards' }),
      gateway.signed(invoice),
    ]);
    const paid = await pay(simnet, invoice.bolt11);
    assert.ok(paid?.preimage);
    assert.equal(sha256(paid.preimage), invoice.paymentHash);
    assert.ok(!shown.includes(paid.preimage));
    simnet.close();
  });

  test('a receiver may choose the preimage, once', async () => {
    const { simnet } = openTestNet();
    const gateway = simnet.wallet('gateway');
    const preimage = '42'.repeat(32);
    const invoice = gateway.addInvoice({ ...INVOICE, preimage });
    assert.equal(invoice.paymentHash, sha256(preimage));
    assert.throws(() => gateway.addInvoice({ ...INVOICE, preimage }), refusal(/already exists/));
    assert.equal((await pay(simnet, invoice.bolt11))?.preimage, preimage);
    assert.throws(() => gateway.addInvoice({ ...INVOICE, preimage }), refusal(/already exists/));
    simnet.close();
  });

  test('up to twice the amount is taken, and recorded as paid', async () => {
    const { simnet } = openTestNet();
    const gateway = simnet.wallet('gateway');
    const payer = simnet.wallet('default');
    const invoice = gateway.addInvoice(INVOICE);
    const request = { bolt11: invoice.bolt11, maxFeeMsat: ZERO_MSAT };
    assert.throws(() => payer.pay({ ...request, amountMsat: msat(20_001) }), refusal(/twice/));
    assert.throws(() => payer.pay({ ...request, amountMsat: msat(9_999) }), refusal(/twice/));
    payer.pay({ ...request, amountMsat: msat(20_000) });
    await payer.finalPayment(invoice.paymentHash);
    assert.equal(gateway.invoice(invoice.paymentHash)?.paidMsat, 20_000);
    simnet.close();
  });

  test('an invoice without an amount takes what the payer names', async () => {
    const { simnet } = openTestNet();
    const payer = simnet.wallet('default');
    const invoice = simnet.wallet('gateway').addInvoice({ ...INVOICE, amountMsat: ZERO_MSAT });
    assert.throws(
      () => payer.pay({ bolt11: invoice.bolt11, maxFeeMsat: ZERO_MSAT }),
      refusal(/must be specified/),
    );
    payer.pay({ bolt11: invoice.bolt11, maxFeeMsat: ZERO_MSAT, amountMsat: msat(5) });
    assert.equal((await payer.finalPayment(invoice.paymentHash))?.amountMsat, 5);
    simnet.close();
  });

  test('a receiver without inbound liquidity finds no route, and nothing moves', async () => {
    const { simnet } = openTestNet();
    const shop = simnet.wallet('shop', { balanceMsat: ZERO_MSAT, inboundMsat: msat(9_999) });
    const before = simnet.wallet('default').balanceMsat();
    const paid = await pay(simnet, shop.addInvoice(INVOICE).bolt11);
    assert.equal(paid?.failure, 'FAILURE_REASON_NO_ROUTE');
    assert.deepEqual([shop.balanceMsat(), simnet.wallet('default').balanceMsat()], [0, before]);
    simnet.close();
  });

  test('paying again is refused in the words of LND', async () => {
    const { simnet, advanceSec, releasePayments } = openTestNet({ latencyMs: 5 });
    const [gateway, payer] = [simnet.wallet('gateway'), simnet.wallet('default')];
    const invoice = gateway.addInvoice(INVOICE);
    const request = { bolt11: invoice.bolt11, maxFeeMsat: ZERO_MSAT };
    payer.pay(request);
    assert.throws(() => payer.pay(request), refusal(/^payment is in transition$/));
    await Promise.resolve().then(releasePayments);
    await payer.finalPayment(invoice.paymentHash);
    assert.throws(() => payer.pay(request), refusal(/^invoice is already paid$/));
    assert.throws(
      () => gateway.pay({ ...request, bolt11: gateway.addInvoice(INVOICE).bolt11 }),
      refusal(/self/),
    );
    const late = gateway.addInvoice(INVOICE);
    advanceSec(61);
    const expired = /^invoice expired\. Valid until 2027-01-15 08:01:00 \+0000 UTC$/;
    assert.throws(() => payer.pay({ ...request, bolt11: late.bolt11 }), refusal(expired));
    simnet.close();
  });

  test('what is held has its place with the receiver, and is not forgotten when its invoice is long expired', async () => {
    const { simnet, advanceSec } = openTestNet();
    const shop = simnet.wallet('shop', { balanceMsat: ZERO_MSAT, inboundMsat: msat(15_000) });
    const payer = simnet.wallet('default');
    const preimage = '42'.repeat(32);
    const held = shop.addInvoice({ ...INVOICE, paymentHash: sha256(preimage) });
    const accepted = new Promise<void>((resolve) =>
      shop.listen((event) => event.kind === 'accepted' && resolve()),
    );
    payer.pay({ bolt11: held.bolt11, maxFeeMsat: ZERO_MSAT });
    await accepted;
    assert.deepEqual([shop.inboundMsat(), shop.balanceMsat()], [5_000, 0]);
    assert.equal((await pay(simnet, shop.addInvoice(INVOICE).bolt11))?.failure, 'FAILURE_REASON_NO_ROUTE');
    advanceSec(100_000);
    for (let count = 0; count < 10; count += 1) shop.addInvoice(INVOICE);
    assert.equal(shop.invoice(held.paymentHash)?.state, 'accepted');
    shop.settleInvoice(preimage);
    assert.equal((await payer.finalPayment(held.paymentHash))?.preimage, preimage);
    assert.deepEqual([shop.inboundMsat(), shop.balanceMsat()], [5_000, 10_000]);
    assert.throws(
      () => shop.addInvoice({ ...INVOICE, paymentHash: held.paymentHash }),
      refusal(/already exists/),
    );
    simnet.close();
  });

  test('what is held when the network closes moves nothing', async () => {
    const { simnet } = openTestNet();
    const [gateway, payer] = [simnet.wallet('gateway'), simnet.wallet('default')];
    const held = gateway.addInvoice({ ...INVOICE, paymentHash: 'ab'.repeat(32) });
    const accepted = new Promise<void>((resolve) =>
      gateway.listen((event) => event.kind === 'accepted' && resolve()),
    );
    payer.pay({ bolt11: held.bolt11, maxFeeMsat: ZERO_MSAT });
    await accepted;
    const final = payer.finalPayment(held.paymentHash);
    simnet.close();
    assert.equal(await final, undefined);
  });

  test('money is conserved, whatever is paid by whom', async () => {
    const names = ['gateway', 'default', 'carol'];
    const step = fc.record({
      from: fc.nat(2),
      to: fc.nat(2),
      amount: fc.integer({ min: 1, max: 1_500_000_000 }),
      failing: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { simnet } = openTestNet({ feePpm: 1_000, baseFeeMsat: msat(7), randomFraction: () => 0.5 });
        const wallets = names.map((name) => simnet.wallet(name));
        const capacity = wallets.map((wallet) => wallet.balanceMsat() + wallet.inboundMsat());
        const start = wallets.reduce((sum, wallet) => sum + wallet.balanceMsat(), 0);
        let fees = 0;
        for (const { from, to, amount, failing } of steps) {
          const [payer, payee] = [wallets[from], wallets[to]];
          if (payer === undefined || payee === undefined || from === to) continue;
          simnet.configure({ failureRate: failing ? 1 : 0 });
          const { bolt11, paymentHash } = payee.addInvoice({ ...INVOICE, amountMsat: msat(amount) });
          payer.pay({ bolt11, maxFeeMsat: sats(1_000_000) });
          const paid = await payer.finalPayment(paymentHash);
          if (paid?.state === 'succeeded') fees += paid.feeMsat;
        }
        const end = wallets.reduce((sum, wallet) => sum + wallet.balanceMsat(), 0);
        assert.equal(end, start - fees);
        assert.deepEqual(
          wallets.map((wallet) => wallet.balanceMsat() + wallet.inboundMsat()),
          capacity,
        );
        simnet.close();
      }),
      { numRuns: 25 },
    );
  });
});

describe('memory', () => {
  test('expired invoices are dropped while new ones come, so a flood stays small', () => {
    const { simnet, advanceSec } = openTestNet();
    const gateway = simnet.wallet('gateway');
    let most = 0;
    for (let index = 0; index < 2_000; index += 1) {
      gateway.addInvoice({ ...INVOICE, expirySec: 1 });
      advanceSec(10);
      most = Math.max(most, simnet.openInvoices());
    }
    assert.ok(most < 200, `${most} invoices in memory`);
    simnet.close();
  });

  test('beyond the bound new invoices are refused until old ones are gone', () => {
    const { simnet, advanceSec } = openTestNet({ maxOpenInvoices: 50 });
    const gateway = simnet.wallet('gateway');
    for (let index = 0; index < 50; index += 1) gateway.addInvoice(INVOICE);
    assert.throws(() => gateway.addInvoice(INVOICE), refusal(/too many unpaid invoices/));
    advanceSec(60 + 601);
    gateway.addInvoice(INVOICE);
    assert.ok(simnet.openInvoices() < 50);
    simnet.close();
  });
});

describe('the file', () => {
  test('wallets, keys, settled invoices and payments outlive a restart; unpaid invoices do not', async () => {
    await inFolder(async (folder) => {
      const file = join(folder, 'simnet.sqlite');
      const first = createSimnet({ nowMs: Date.now, file });
      const paidInvoice = first.wallet('gateway').addInvoice(INVOICE);
      const unpaid = first.wallet('gateway').addInvoice(INVOICE);
      await pay(first, paidInvoice.bolt11);
      const { macaroon, publicKey } = first.wallet('gateway');
      first.wallet('carol');
      first.close();

      const second = createSimnet({ nowMs: Date.now, file });
      const gateway = second.wallet('gateway');
      assert.deepEqual(second.walletNames().toSorted(), ['carol', 'default', 'gateway']);
      assert.deepEqual([gateway.macaroon, gateway.publicKey], [macaroon, publicKey]);
      assert.equal(second.walletByMacaroon(macaroon), gateway);
      assert.equal(gateway.balanceMsat(), 10_000);
      assert.equal(gateway.settledAfter(0, 10)[0]?.paymentHash, paidInvoice.paymentHash);
      assert.equal(second.wallet('default').payment(paidInvoice.paymentHash)?.state, 'succeeded');
      assert.equal(gateway.invoice(unpaid.paymentHash), undefined);
      assert.equal((await pay(second, unpaid.bolt11))?.failure, 'FAILURE_REASON_INCORRECT_PAYMENT_DETAILS');
      const next = gateway.addInvoice(INVOICE);
      assert.ok(next.addIndex > unpaid.addIndex);
      assert.notEqual(next.paymentHash, unpaid.paymentHash);
      await pay(second, next.bolt11);
      assert.equal(gateway.invoice(next.paymentHash)?.settleIndex, 2);
      second.close();
    });
  });

  test('only its owner may read it', async () => {
    await inFolder(async (folder) => {
      const file = join(folder, 'simnet.sqlite');
      const simnet = createSimnet({ nowMs: Date.now, file });
      assert.equal(statSync(file).mode & 0o777, 0o600);
      simnet.close();
    });
  });

  test('a second opener is refused, and told what to do', async () => {
    await inFolder(async (folder) => {
      const file = join(folder, 'simnet.sqlite');
      const first = createSimnet({ nowMs: Date.now, file });
      assert.throws(
        () => createSimnet({ nowMs: Date.now, file }),
        (error) =>
          error instanceof NodeError &&
          error.code === 'not-ready' &&
          /--data DIR/.test(error.message) &&
          /sluice simnet/.test(error.message),
      );
      first.close();
      createSimnet({ nowMs: Date.now, file }).close();
    });
  });

  test('a file that is no database is refused', async () => {
    await inFolder(async (folder) => {
      const file = join(folder, 'simnet.sqlite');
      writeFileSync(file, 'not a database, but long enough to look at'.repeat(100));
      assert.throws(() => createSimnet({ nowMs: Date.now, file }), { name: 'NodeError', code: 'not-ready' });
    });
  });

  test('a killed process loses no payment whose preimage it gave away, and gives the lock back', async () => {
    await inFolder(async (folder) => {
      const file = join(folder, 'simnet.sqlite');
      const child = spawn(process.execPath, [new URL('./pay-for-ever.ts', import.meta.url).pathname, file], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const paid: string[] = [];
      for await (const line of createInterface({ input: child.stdout })) {
        paid.push(line);
        if (paid.length === 25) child.kill('SIGKILL');
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');

      const simnet = createSimnet({ nowMs: Date.now, file });
      const gateway = simnet.wallet('gateway');
      const settled = gateway.settledAfter(0, 10_000);
      for (const hash of paid) assert.equal(gateway.invoice(hash)?.state, 'settled');
      assert.deepEqual(
        settled.map((invoice) => invoice.settleIndex),
        settled.map((_, index) => index + 1),
      );
      assert.equal(gateway.balanceMsat(), settled.length * 10_000);
      assert.equal(simnet.wallet('default').balanceMsat(), 1_000_000_000 - settled.length * 10_000);
      simnet.close();
    });
  });

  test('payments in flight when the network closes move nothing', async () => {
    const { simnet } = openTestNet({ latencyMs: 5 });
    const invoice = simnet.wallet('gateway').addInvoice(INVOICE);
    const payer = simnet.wallet('default');
    payer.pay({ bolt11: invoice.bolt11, maxFeeMsat: ZERO_MSAT });
    const final = payer.finalPayment(invoice.paymentHash);
    await Promise.resolve();
    simnet.close();
    assert.equal(await final, undefined);
  });
});

test('settings out of range are refused', () => {
  const { simnet } = openTestNet();
  assert.throws(() => simnet.configure({ failureRate: 1.1 }), RangeError);
  assert.throws(() => simnet.configure({ latencyMs: -1 }), RangeError);
  assert.throws(() => simnet.configure({ feePpm: 0.5 }), RangeError);
  assert.equal(simnet.settings.failureRate, 0);
  simnet.close();
});

test('the failure rate is the share of draws below it', async () => {
  const draws = [0.1, 0.3, 0.29, 0.9];
  const { simnet } = openTestNet({ failureRate: 0.3, randomFraction: () => draws.shift() ?? 1 });
  const states: (string | undefined)[] = [];
  for (let index = 0; index < 4; index += 1) {
    states.push((await pay(simnet, simnet.wallet('gateway').addInvoice(INVOICE).bolt11))?.state);
  }
  assert.deepEqual(states, ['failed', 'succeeded', 'failed', 'succeeded']);
  simnet.close();
});

async function pay(simnet: Simnet, bolt11: string) {
  const payer = simnet.wallet('default');
  const { paymentHash } = payer.pay({ bolt11, maxFeeMsat: ZERO_MSAT });
  return payer.finalPayment(paymentHash);
}

function refusal(message: RegExp) {
  return (error: unknown) => error instanceof SimnetRefusal && message.test(error.message);
}

function sha256(hex: string): string {
  return createHash('sha256').update(Buffer.from(hex, 'hex')).digest('hex');
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-simnet-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

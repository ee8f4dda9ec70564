import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { createMetrics } from '../../gateway/observe/metrics.ts';
import { createSettlementFeed, type FeedTiming } from '../../gateway/settlements/feed.ts';
import { msat } from '../../node/msat.ts';
import type { LightningNode } from '../../node/node.ts';
import { eventually } from '../support/eventually.ts';
import { startRelay } from '../support/relay.ts';
import { clientOf, openRealNetwork, type RealNetwork } from './bench.ts';

/*
 * The settlement feed on real LND when what stands between swallows its connection, and when LND counts anew.
 */

const ACCOUNT = 'ac'.repeat(32);
const NO_FEE = { maxFeeMsat: msat(0), timeoutMs: 20_000 };

let network: RealNetwork;

before(async () => {
  network = await openRealNetwork();
});

after(() => network.close());

/** A ledger with one account, whose top-ups the feed alone can credit: offers can't be looked up. */
async function openLedger(t: TestContext) {
  const nowSec = Math.floor(Date.now() / 1000);
  const store = createMemoryStore({ nowMs: Date.now });
  const [merchant, customer] = [clientOf(network.merchant, 'admin'), clientOf(network.customer, 'admin')];
  const expiresAtSec = nowSec + 86_400;
  const terms = { accountId: ACCOUNT, service: 'quote', expiresAtSec };
  await store.credit({ ...terms, creditKey: 'f0'.repeat(32), amountMsat: msat(1_000) });
  let logged = '';
  const destination = { write: (text: string) => (logged += text) };
  t.after(async () => {
    await Promise.all([merchant.close(), customer.close()]);
    await store.close();
  });
  return {
    store,
    logged: () => logged,
    /** Offers a top-up and pays it. */
    async topUp() {
      const invoice = await merchant.createInvoice({
        amountMsat: msat(5_000),
        memo: 'top-up',
        expirySec: 600,
      });
      const offer = { paymentHash: invoice.paymentHash, accountId: ACCOUNT, service: 'quote' };
      const ends = { invoiceExpiresAtSec: invoice.expiresAtSec, creditExpiresAtSec: expiresAtSec };
      await store.offer({ ...offer, ...ends, amountMsat: invoice.amountMsat }, 100);
      const paid = await customer.payInvoice(invoice.bolt11, NO_FEE);
      assert.equal(paid.kind, 'succeeded', JSON.stringify(paid));
    },
    start(node: LightningNode, timing: Partial<FeedTiming>) {
      const feed = createSettlementFeed({
        node: {
          capabilities: node.capabilities,
          settlements: node.settlements,
          lookupInvoice: (hash, options) =>
            /^0+$/.test(hash) ? node.lookupInvoice(hash, options) : Promise.reject(new Error('not here')),
        },
        ledger: store,
        log: createLog({ level: 'debug', format: 'json', destination }),
        metrics: createMetrics({ version: 'test' }),
        onSettled: () => {},
        onCredited: () => {},
        onOfferSettled: () => {},
        nowMs: Date.now,
        timing: { firstPauseMs: 50, maxPauseMs: 500, quietMs: 500, ...timing },
      });
      t.after(() => feed.close());
      return feed;
    },
    credited: (amountMsat: number) =>
      eventually(
        async () => (await store.account(ACCOUNT))?.creditedMsat,
        (now) => now === amountMsat,
      ),
  };
}

test('a feed whose connection was swallowed is asked anew, and credits what was paid meanwhile', async (t) => {
  const ledger = await openLedger(t);
  const wire = await startRelay({ host: '127.0.0.1', port: Number(new URL(network.merchant.url).port) });
  t.after(() => wire.stop());
  const node = clientOf(network.merchant, 'admin', { url: `https://127.0.0.1:${wire.port}` });
  t.after(() => node.close());
  const feed = ledger.start(node, { silentMs: 1_000 });
  await ledger.topUp();
  await ledger.credited(6_000);
  for (const expected of [11_000, 16_000]) {
    wire.swallow();
    await ledger.topUp();
    await ledger.credited(expected);
  }
  assert.equal(feed.connected(), true);
  assert.doesNotMatch(ledger.logged(), /was lost|does not know/);
});

test('an LND that counts anew is read from its first settlement, and nothing is credited twice', async (t) => {
  const ledger = await openLedger(t);
  await ledger.topUp();
  // The ledger has seen more than this LND has settled: it was restored from an older copy.
  await ledger.store.advanceSettlementCursor(100_000);
  const node = clientOf(network.merchant, 'admin');
  t.after(() => node.close());
  ledger.start(node, { probeMs: 1_500 });
  await ledger.credited(6_000);
  await ledger.topUp();
  await ledger.credited(11_000);
  assert.match(ledger.logged(), /restored from an older copy, or replaced/);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../gateway/observe/log.ts';
import { invoiceTag } from '../../gateway/settlements/invoice-tag.ts';
import { type ReconcileDeps, reconcile } from '../../gateway/settlements/reconcile.ts';
import { createReconciler } from '../../gateway/settlements/reconciler.ts';
import { msat } from '../../node/msat.ts';
import { NodeError } from '../../node/node.ts';
import { testService } from '../support/config.ts';
import { eventually } from '../support/eventually.ts';
import { askChallenge, startTestGateway } from '../support/gateway.ts';
import { askTopUp, payAmount, untilCredited } from '../support/top-up.ts';
import { ACCOUNT, openRig, type Rig } from './rig.ts';

const DAY_SEC = 86_400;

function depsOf({ store, node, clock }: Rig, change: Partial<ReconcileDeps> = {}): ReconcileDeps {
  return {
    node,
    ledger: store,
    tag: '0a0b0c0d',
    soldForSec: () => 30 * DAY_SEC,
    mend: async ({ paymentHash, paidMsat }) => void (await store.settleOffer(paymentHash, paidMsat)),
    nowMs: () => clock.ms,
    ...change,
  };
}

function rangeOf({ clock }: Rig, maxPages = 100) {
  return { sinceSec: Math.floor(clock.ms / 1000) - DAY_SEC, invoiceExpirySec: 600, maxPages };
}

function run(rig: Rig, change: Partial<ReconcileDeps> = {}) {
  return reconcile(depsOf(rig, change), rangeOf(rig), new AbortController().signal);
}

async function paidInvoice(rig: Rig, memo: string): Promise<string> {
  const invoice = await rig.node.createInvoice({ amountMsat: msat(7_000), memo, expirySec: 600 });
  await rig.pay(invoice.bolt11);
  return invoice.paymentHash;
}

test('each payment is named for what became of it', async (t) => {
  const rig = await openRig(t);
  const expiresAtSec = Math.floor(rig.clock.ms / 1000) + 30 * DAY_SEC;
  const claimed = await paidInvoice(rig, 'x: quote [sluice:0a0b0c0d]');
  const terms = { accountId: 'dd'.repeat(32), service: 'quote', creditMsat: msat(7_000), expiresAtSec };
  await rig.store.redeem({ ...terms, paymentHash: claimed });
  const unclaimed = await paidInvoice(rig, 'x: quote [sluice:0a0b0c0d]');
  await paidInvoice(rig, 'coffee');
  await paidInvoice(rig, 'another ledger [sluice:ffffffff]');
  const toppedUp = await rig.offer();
  await rig.pay(toppedUp.bolt11);

  const looked = await run(rig, { mend: undefined });
  assert.equal(looked.coverage, 'complete');
  assert.deepEqual(
    [looked.tallies.credited, looked.tallies.unclaimed, looked.tallies.missing].map(
      ({ payments }) => payments,
    ),
    [1, 1, 1],
  );
  assert.equal(looked.others, 2);
  const named = new Map(looked.findings.map((finding) => [finding.paymentHash, finding]));
  assert.deepEqual([named.get(unclaimed)?.kind, named.get(unclaimed)?.service], ['unclaimed', 'quote']);
  assert.deepEqual(
    [named.get(toppedUp.paymentHash)?.kind, named.get(toppedUp.paymentHash)?.accountId],
    ['missing', ACCOUNT],
  );
  assert.equal((await rig.account()).creditedMsat, 1_000, 'looking changes nothing');
});

test('what a challenge brought above its invoice before its claim is mended once, with the expiry of the claim', async (t) => {
  const rig = await openRig(t);
  const invoice = await rig.node.createInvoice({
    amountMsat: msat(7_000),
    memo: 'x: quote [sluice:0a0b0c0d]',
    expirySec: 600,
  });
  await rig.pay(invoice.bolt11, 9_000);
  const { paymentHash } = invoice;
  assert.equal((await run(rig)).tallies.unclaimed.payments, 1);
  const expiresAtSec = Math.floor(rig.clock.ms / 1000) + DAY_SEC;
  const terms = { accountId: 'dd'.repeat(32), service: 'quote', creditMsat: msat(7_000), expiresAtSec };
  await rig.store.redeem({ ...terms, paymentHash });
  const mended = await run(rig);
  assert.deepEqual(
    [mended.mended, mended.tallies.credited.payments, mended.tallies.missing.payments],
    [1, 1, 0],
  );
  assert.equal((await run(rig)).mended, 0);
  const account = await rig.store.account(terms.accountId);
  assert.deepEqual([account?.balanceMsat, account?.expiresAtSec], [9_000, expiresAtSec]);
});

test('what is missing is mended once, with what was overpaid', async (t) => {
  const rig = await openRig(t);
  const { paymentHash, bolt11 } = await rig.offer();
  await rig.pay(bolt11, 5_007);
  const mended = await run(rig);
  assert.deepEqual(
    [mended.mended, mended.tallies.missing.payments, mended.tallies.credited.payments],
    [1, 0, 1],
  );
  assert.deepEqual(
    mended.findings.map((finding) => [finding.kind, finding.mended, finding.paymentHash, finding.bookedMsat]),
    [['missing', true, paymentHash, 5_007]],
  );
  assert.equal((await rig.account()).creditedMsat, 6_007);
  const again = await run(rig);
  assert.deepEqual([again.mended, again.findings.length], [0, 0]);
  assert.equal((await rig.account()).creditedMsat, 6_007);
});

test('a claim whose credit is missing gets it, and a top-up that its credential brought is closed', async (t) => {
  const rig = await openRig(t);
  const expiresAtSec = Math.floor(rig.clock.ms / 1000) + 30 * DAY_SEC;
  const terms = { accountId: ACCOUNT, service: 'quote', creditMsat: msat(7_000), expiresAtSec };
  const torn = await paidInvoice(rig, 'x: quote [sluice:0a0b0c0d]');
  await rig.store.claim({ ...terms, paymentHash: torn });
  const late = await rig.offer();
  await rig.pay(late.bolt11);
  const [offer] = await rig.store.openOffers('', 10);
  await rig.store.redeem({
    paymentHash: late.paymentHash,
    accountId: ACCOUNT,
    service: 'quote',
    creditMsat: msat(5_000),
    expiresAtSec: offer?.creditExpiresAtSec ?? 0,
  });
  const report = await run(rig);
  assert.deepEqual(report.findings.map(({ kind, mended }) => [kind, mended]).sort(), [
    ['claimed-late', true],
    ['missing', true],
  ]);
  assert.equal((await rig.account()).creditedMsat, 13_000);
  assert.deepEqual(await rig.store.openOffers('', 10), []);
});

test('payments whose credit the ledger has purged are forgotten, and accused of nothing', async (t) => {
  const rig = await openRig(t);
  await paidInvoice(rig, 'x: quote [sluice:0a0b0c0d]');
  rig.clock.ms += 3 * DAY_SEC * 1000;
  await rig.store.purge();
  const range = { sinceSec: 0, invoiceExpirySec: 600, maxPages: 10 };
  const never = new AbortController().signal;
  const short = await reconcile(depsOf(rig, { soldForSec: () => 3_600 }), range, never);
  assert.deepEqual([short.tallies.forgotten.payments, short.findings.length], [1, 0]);
  const long = await reconcile(depsOf(rig), range, never);
  assert.equal(long.tallies.unclaimed.payments, 1);
});

test('only so many pages are read, and only payments of the asked time', async (t) => {
  const rig = await openRig(t);
  for (let n = 0; n < 260; n += 1) await rig.invoice();
  await paidInvoice(rig, 'new [sluice:0a0b0c0d]');
  const never = new AbortController().signal;
  assert.equal((await reconcile(depsOf(rig), rangeOf(rig, 1), never)).coverage, 'cut');
  assert.equal((await reconcile(depsOf(rig), rangeOf(rig, 2), never)).coverage, 'complete');
  const later = { ...rangeOf(rig), sinceSec: Math.floor(rig.clock.ms / 1000) + 10 };
  assert.equal((await reconcile(depsOf(rig), later, never)).tallies.unclaimed.payments, 0);
});

test('a node that lists nothing is asked about each open top-up', async (t) => {
  const rig = await openRig(t);
  const { bolt11 } = await rig.offer();
  await rig.offer();
  await rig.pay(bolt11);
  const { lookupInvoice } = rig.node;
  const report = await run(rig, { node: { lookupInvoice } });
  assert.deepEqual([report.coverage, report.mended], ['offers-only', 1]);
  assert.equal((await rig.account()).creditedMsat, 6_000);
});

test('a top-up that the node does not answer for is counted, and a node that is down ends the run', async (t) => {
  const rig = await openRig(t);
  await rig.offer();
  const down = async () => {
    throw new NodeError('unreachable', 'down');
  };
  assert.equal((await run(rig, { node: { lookupInvoice: down } })).unanswered, 1);
  for (let n = 0; n < 8; n += 1) await rig.offer();
  await assert.rejects(run(rig, { node: { lookupInvoice: down } }), { code: 'unreachable' });
});

test('the gateway reconciles as long after its start as it was told and a day later, and shows the difference', async (t) => {
  const rig = await openRig(t);
  const ledger = { ...rig.store, generation: 'ab'.repeat(16), isRevoked: () => false, nextKey: () => 'k' };
  const tag = invoiceTag(ledger.generation);
  await paidInvoice(rig, `x: quote [sluice:${tag}]`);
  const { bolt11 } = await rig.offer();
  await rig.pay(bolt11);
  const credited: string[] = [];
  const reconciler = createReconciler({
    node: rig.node,
    ledger: { ...ledger, clockAheadSec: () => 0, mismatch: () => undefined, requireStanding: () => {} },
    metrics: rig.metrics,
    log: createLog({ level: 'silent', format: 'json' }),
    tag,
    soldForSec: () => 30 * DAY_SEC,
    invoiceExpirySec: () => 600,
    nowMs: () => rig.clock.ms,
    tickMs: 2,
    firstRunAfterMs: 60_000,
    onSettled: () => {},
    onCredited: ({ accountId }) => void credited.push(accountId),
    onOfferSettled: () => {},
  });
  t.after(() => reconciler.close());
  const scraped = async () => (await rig.metrics.scrape()).body;
  assert.match(await scraped(), /sluice_reconciled_timestamp_seconds 0\n/);
  rig.clock.ms += 60_000;
  await eventually(scraped, (text) =>
    text.includes('sluice_reconcile_difference_msat{kind="unclaimed"} 7000'),
  );
  assert.match(await scraped(), /sluice_reconcile_difference_msat\{kind="missing"\} 0\n/);
  assert.match(await scraped(), /sluice_settlements_total\{outcome="credited"\} 1\n/);
  assert.deepEqual(credited, [ACCOUNT]);
  const again = await rig.offer();
  await rig.pay(again.bolt11);
  rig.clock.ms += DAY_SEC * 1000;
  await eventually(rig.account, ({ creditedMsat }) => creditedMsat === 11_000);
});

test('a whole gateway tags what it sells, in challenges and top-ups', async (t) => {
  const upstream = 'http://127.0.0.1:9';
  const service = testService({ name: 'quote', price: '10 sat', path: '/quote', upstream });
  const gateway = await startTestGateway([service]);
  t.after(() => gateway.stop());
  const challenge = await askChallenge(`${gateway.url}/quote`);
  const authorization = `L402 ${challenge.macaroon}:${await gateway.pay(challenge.invoice)}`;
  await fetch(`${gateway.url}/quote`, { headers: { Authorization: authorization } });
  const topUp = await askTopUp(gateway.url, authorization);
  await payAmount(gateway.simnet, topUp.invoice);
  await untilCredited(gateway.store, topUp.accountId, topUp.creditMsat);
  const tag = invoiceTag(await gateway.store.generation());
  const memos = gateway.simnet
    .wallet('gateway')
    .invoices({ offset: 0, limit: 10, order: 'forwards' })
    .map(({ memo }) => memo);
  assert.deepEqual(memos, [`Test : quote [sluice:${tag}]`, `Test : quote, top-up [sluice:${tag}]`]);
});

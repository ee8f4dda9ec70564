import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parseSince } from '../../gateway/cli/reconcile.ts';
import { writeLastSeen } from '../../gateway/ledger/last-seen.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { invoiceTag, tagMemo } from '../../gateway/settlements/invoice-tag.ts';
import { msat } from '../../node/msat.ts';
import { payAmount } from '../support/top-up.ts';
import { folder, run } from './operator.ts';
import { openShop, type Shop } from './shop.ts';

const ACCOUNT = 'ac'.repeat(32);

/** Sells: one payment that was presented, one that never was, and a paid top-up that nobody credited. */
async function sell({ dataDir, node, simnet }: Shop): Promise<{ unclaimed: string; missing: string }> {
  const file = path.join(dataDir, 'ledger.db');
  const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
  const memo = tagMemo('x: quote', invoiceTag(await store.generation()));
  const endSec = Math.floor(Date.now() / 1000) + 30 * 86_400;
  const buy = async (): Promise<string> => {
    const invoice = await node.createInvoice({ amountMsat: msat(10_000), memo, expirySec: 600 });
    await payAmount(simnet, invoice.bolt11);
    return invoice.paymentHash;
  };
  const terms = { accountId: ACCOUNT, service: 'quote', creditMsat: msat(10_000), expiresAtSec: endSec };
  await store.redeem({ ...terms, paymentHash: await buy() });
  const unclaimed = await buy();
  const missing = await buy();
  const offer = { accountId: ACCOUNT, service: 'quote', amountMsat: msat(10_000) };
  const ends = { invoiceExpiresAtSec: endSec - 86_400, creditExpiresAtSec: endSec };
  await store.offer({ ...offer, ...ends, paymentHash: missing }, 3);
  await writeLastSeen(dataDir, { generation: await store.generation(), epoch: await store.nextEpoch() });
  await store.close();
  return { unclaimed, missing };
}

test('reconcile names what is unclaimed and missing, and mends what is missing only when told', async (t) => {
  const shop = await openShop(t);
  const { unclaimed, missing } = await sell(shop);
  const looked = await run(shop.dir, ['reconcile', '--since', '1d']);
  assert.equal(looked.code, 1, looked.stderr);
  assert.match(looked.stdout, /^credited +1 +10 sat/m);
  assert.match(looked.stdout, new RegExp(`^unclaimed +10 sat +\\S+Z +quote +${unclaimed}$`, 'm'));
  assert.match(looked.stdout, new RegExp(`^missing +10 sat +\\S+Z +quote +${missing}$`, 'm'));
  assert.match(looked.stdout, /--mend/);

  const mended = await run(shop.dir, ['reconcile', '--mend', '--json']);
  assert.equal(mended.code, 0, mended.stderr);
  const report = JSON.parse(mended.stdout);
  assert.deepEqual([report.mended, report.coverage, report.tallies.credited.payments], [1, 'complete', 2]);
  assert.deepEqual(report.tallies.missing, { payments: 0, paidMsat: 0 });
  const again = await run(shop.dir, ['reconcile']);
  assert.deepEqual([again.code, /Nothing is missing\./.test(again.stdout)], [0, true]);
});

test('a store that is not the one of the data folder is left alone', async (t) => {
  const shop = await openShop(t);
  await sell(shop);
  await writeLastSeen(shop.dataDir, { generation: 'ab'.repeat(16), epoch: 1 });
  await assert.rejects(run(shop.dir, ['reconcile', '--mend']), { name: 'StoreMismatchError' });
});

test('looking makes no store where there is none, and a store in memory is said to be out of reach', async (t) => {
  const { dir, dataDir } = await openShop(t);
  const { code, stderr } = await run(dir, ['reconcile']);
  assert.deepEqual([code, /nothing was sold yet/.test(stderr)], [1, true]);
  assert.equal(existsSync(path.join(dataDir, 'ledger.db')), false);
  const memory = await run(dir, ['reconcile', '--store', 'memory']);
  assert.deepEqual([memory.code, /in memory/.test(memory.stderr)], [1, true]);
});

test('since takes a date, a moment, or a time back, and nothing else', async (t) => {
  const nowMs = Date.UTC(2030, 0, 10);
  assert.equal(parseSince('2030-01-09', nowMs), Date.UTC(2030, 0, 9) / 1000);
  assert.equal(parseSince('2030-01-09T12:00:00+02:00', nowMs), Date.UTC(2030, 0, 9, 10) / 1000);
  assert.equal(parseSince('1d', nowMs), Date.UTC(2030, 0, 9) / 1000);
  assert.equal(parseSince('2h', nowMs), nowMs / 1000 - 7_200);
  for (const text of ['', 'yesterday', '2030-13-01', '1', '5w', '2030-01-09 12:00', '9'.repeat(40)]) {
    assert.throws(() => parseSince(text, nowMs), { name: 'FlagsError' }, text);
  }
  await assert.rejects(run(folder(t), ['reconcile', '--since', 'soon']), { name: 'FlagsError' });
});

import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { z } from 'zod';
import { startDaemon } from '../../deploy/regtest/daemon.ts';
import { reviewMacaroon } from '../../node/lnd/macaroon-rights.ts';
import { msat } from '../../node/msat.ts';
import { NodeError } from '../../node/node.ts';
import { rejectsWith } from '../contract/node.contract.ts';
import { eventually } from '../support/eventually.ts';
import { clientOf, openRealNetwork, type RealNetwork } from './bench.ts';

/*
 * What real LND says when something is wrong, and what we make of it.
 */

const REQUEST = { amountMsat: msat(10_000), memo: 'test', expirySec: 60 };

let network: RealNetwork;

before(async () => {
  network = await openRealNetwork();
});

after(() => network.close());

test('another network than the configured one is said, whatever the macaroon may ask', async () => {
  for (const macaroon of ['admin', 'invoice']) {
    const node = clientOf(network.merchant, macaroon, { network: 'mainnet' });
    await rejectsWith(node.info(), 'wrong-network');
    await node.close();
  }
});

test("invoice.macaroon tells the node's key and network by an invoice", async () => {
  const [asked, told] = [clientOf(network.merchant, 'admin'), clientOf(network.merchant, 'invoice')];
  const { publicKey } = await asked.info();
  assert.partialDeepStrictEqual(await told.info(), { publicKey, network: 'regtest', synced: true });
  assert.equal((await told.info()).publicKey, publicKey);
  await Promise.all([asked.close(), told.close()]);
});

test('a macaroon without a right, of another node, and none at all are unauthorized, with the line that mends it', async () => {
  const { merchant, customer } = network;
  const other = (await readFile(customer.macaroonFile('admin'))).toString('hex');
  const clients = [
    clientOf(merchant, 'readonly'),
    clientOf(merchant, 'admin', { macaroon: other }),
    clientOf(merchant, 'admin', { macaroon: '00ff' }),
  ];
  for (const node of clients) {
    await assert.rejects(node.createInvoice(REQUEST), (error) => {
      assert.ok(error instanceof NodeError && error.code === 'unauthorized', String(error));
      assert.match(error.message, /lncli bakemacaroon .*invoices:write/);
      return true;
    });
    await node.close();
  }
});

test('the rights that stand in a macaroon are those that LND gave it', async () => {
  const read = async (name: string) => (await readFile(network.merchant.macaroonFile(name))).toString('hex');
  assert.deepEqual(reviewMacaroon(await read('invoice')), {
    missing: [],
    blind: ['info:read', 'offchain:read'],
    dangerous: [],
  });
  assert.deepEqual(reviewMacaroon(await read('readonly'))?.missing, ['invoices:write']);
  const admin = reviewMacaroon(await read('admin'));
  assert.deepEqual(admin?.missing, []);
  assert.ok(admin?.dangerous.includes('offchain:write'));
  const permissions = ['info:read', 'invoices:read', 'invoices:write', 'offchain:read'].map((right) => {
    const [entity, action] = right.split(':');
    return { entity, action };
  });
  const baked = z
    .object({ macaroon: z.string() })
    .parse(await network.merchant.ask('POST', '/v1/macaroon', { permissions }));
  assert.deepEqual(reviewMacaroon(baked.macaroon), { missing: [], blind: [], dangerous: [] });
  const node = clientOf(network.merchant, 'admin', { macaroon: baked.macaroon });
  assert.equal((await node.info()).alias, 'merchant');
  await node.createInvoice(REQUEST);
  await node.close();
});

test('another certificate than the pinned one is said to be the reason', async () => {
  const tlsCertPem = await readFile(network.customer.tlsCertFile, 'utf8');
  const node = clientOf(network.merchant, 'admin', { tlsCertPem });
  await assert.rejects(node.info(), /unreachable|another certificate than the configured one/);
  await rejectsWith(node.createInvoice(REQUEST), 'unreachable');
  await node.close();
});

test('while LND stops, is locked, and starts, it is unreachable or not ready, with the reason; then it serves', async (t) => {
  const { merchant, folder } = network;
  const node = clientOf(merchant, 'admin', { timeoutMs: 2_000 });
  await merchant.stop();
  await rejectsWith(node.info(), 'unreachable');

  const dir = folder.of('merchant');
  const config = (await readFile(path.join(dir, 'lnd.conf'), 'utf8')).replace('noseedbackup=true', '');
  const lockedDir = path.join(dir, 'locked');
  await mkdir(lockedDir);
  await writeFile(path.join(lockedDir, 'lnd.conf'), config);
  const { command } = network;
  const locked = await startDaemon({
    name: 'lnd (locked)',
    command,
    args: [`--lnddir=${dir}`, `--configfile=${path.join(lockedDir, 'lnd.conf')}`],
    cwd: dir,
    logFile: folder.logOf('merchant'),
  });
  t.after(() => locked.stop());
  const reason = async (): Promise<string> =>
    await node.info().then(
      () => 'it serves',
      (error: unknown) => (error instanceof NodeError ? `${error.code}: ${error.message}` : String(error)),
    );
  await eventually(
    reason,
    (text) =>
      text ===
      'not-ready: LND\'s wallet is locked: unlock it with "lncli unlock" (wallet-unlock-password-file in lnd.conf does it at each start).',
  );
  await rejectsWith(node.createInvoice(REQUEST), 'not-ready');
  await locked.stop();

  const seen = new Set<string>();
  const starting = merchant.start();
  await eventually(reason, (text) => {
    seen.add(text.split(':')[0] ?? '');
    return text === 'it serves';
  });
  await starting;
  assert.deepEqual(
    [...seen].filter((code) => !['unreachable', 'not-ready', 'it serves'].includes(code)),
    [],
  );
  await node.close();
});

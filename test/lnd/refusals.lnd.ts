import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { z } from 'zod';
import { startDaemon } from '../../deploy/regtest/daemon.ts';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { decodeInvoice } from '../../node/bolt11.ts';
import { reviewMacaroon } from '../../node/lnd/macaroon-rights.ts';
import { type Msat, msat, sats } from '../../node/msat.ts';
import { type LightningNode, NodeError, type Payer } from '../../node/node.ts';
import { rejectsWith } from '../contract/node.contract.ts';
import { openScene } from '../e2e/scene.ts';
import { eventually } from '../support/eventually.ts';
import { buy, type TestGateway, withCredential } from '../support/gateway.ts';
import { refusalOf } from '../support/top-up.ts';
import { clientOf, openRealNetwork, type RealNetwork } from './bench.ts';

/*
 * What real LND says when something is wrong, and what we make of it.
 */

const NO_FEE = { maxFeeMsat: msat(0), timeoutMs: 20_000 };
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
    clientOf(merchant, 'readonly', { grpcUrl: merchant.grpcUrl }),
    clientOf(merchant, 'admin', { macaroon: other, grpcUrl: merchant.grpcUrl }),
    clientOf(merchant, 'admin', { macaroon: '00ff', grpcUrl: merchant.grpcUrl }),
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
  const overGrpc = clientOf(network.merchant, 'admin', { tlsCertPem, grpcUrl: network.merchant.grpcUrl });
  await assert.rejects(overGrpc.createInvoice(REQUEST), /another certificate than the configured one/);
  await overGrpc.close();
});

test('the REST port in place of the gRPC one is said, also when only the identity is asked for', async () => {
  const node = clientOf(network.merchant, 'admin', { grpcUrl: network.merchant.url });
  for (const asked of [node.createInvoice(REQUEST), node.info()]) {
    await assert.rejects(asked, { code: 'protocol', message: /does not speak gRPC: node\.grpcUrl/ });
  }
  await node.close();
});

test('over gRPC LND refuses what it refuses over REST, and signs what was asked for', async () => {
  const { merchant } = network;
  const ways = [clientOf(merchant, 'invoice'), clientOf(merchant, 'invoice', { grpcUrl: merchant.grpcUrl })];
  for (const node of ways) {
    await rejectsWith(node.createInvoice({ ...REQUEST, memo: 'x'.repeat(2_000) }), 'rejected');
    const { publicKey } = await node.info();
    const descriptionHash = 'ab'.repeat(32);
    const { bolt11 } = await node.createInvoice({ ...REQUEST, memo: '', descriptionHash });
    assert.partialDeepStrictEqual(decodeInvoice(bolt11), {
      payee: publicKey,
      amountMsat: REQUEST.amountMsat,
      expirySec: REQUEST.expirySec,
      descriptionHash,
    });
    const { bolt11: second } = await node.createInvoice({ ...REQUEST, memo: 'Zürich ₿' });
    assert.equal(decodeInvoice(second).memo, 'Zürich ₿');
    await node.close();
  }
});

test('a gateway that may not use its node sells nothing and says why; who has paid is served', async (t) => {
  const { merchant, customer } = network;
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const wares = [{ upstream: upstream.origin, price: '20 sat for 10 calls' }];
  const clock = machineClock();
  const store = createMemoryStore({ nowMs: Date.now });
  const payer = scene.keep(clientOf(customer, 'admin'));
  const open = (node: LightningNode): Promise<TestGateway> =>
    scene.gateway(wares, { wrapNode: () => scene.keep(node), payer, clock, store });
  const credential = await buy(await open(clientOf(merchant, 'invoice')), '/quote');

  const macaroon = await readFile(customer.macaroonFile('admin'), 'hex');
  const tlsCertPem = await readFile(customer.tlsCertFile, 'utf8');
  const faults = [
    [{ network: 'mainnet' }, 'node-wrong-network', 'wrong-network'],
    [{ macaroon }, 'node-unavailable', 'unauthorized'],
    [{ tlsCertPem }, 'node-unavailable', 'no-answer'],
  ] as const;
  for (const [change, answer, health] of faults) {
    const gateway = await open(clientOf(merchant, 'admin', change));
    assert.deepEqual(await refusalOf(await fetch(`${gateway.url}/quote`)), [503, answer]);
    assert.deepEqual(await readiness(gateway), [503, health]);
    assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
  }
  assert.equal(upstream.seen.length, faults.length);
});

test('what the channel has no room for is refused, not sold; when there is room again it is sold, by itself', async (t) => {
  const { merchant, customer } = network;
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const node = scene.keep(clientOf(merchant, 'admin'));
  const payer = scene.keep(clientOf(customer, 'admin'));
  const price = sats(50_000);
  const wares = [{ upstream: upstream.origin, price: '50000 sat' }];
  const gateway = await scene.gateway(wares, { wrapNode: () => node, payer, clock: machineClock() });
  const ask = async () => await refusalOf(await fetch(`${gateway.url}/quote`));
  assert.equal(
    (await fetch(`${gateway.url}/quote`, withCredential(await buy(gateway, '/quote')))).status,
    200,
  );

  const moved = await moveAll(payer, node, price);
  // Asked of the health first: each challenge until then is an invoice, and on a quick machine the throttle would end them.
  await eventually(
    () => readiness(gateway),
    ([status, code]) => status === 503 && code === 'no-inbound',
  );
  await eventually(ask, ([status]) => status === 503);
  assert.deepEqual(await ask(), [503, 'no-inbound']);
  // Without the refusal, this is what would have been sold.
  const invoice = await node.createInvoice({ amountMsat: price, memo: 'too dear', expirySec: 60 });
  assert.equal((await payer.payInvoice(invoice.bolt11, NO_FEE)).kind, 'failed');

  const back = await payer.createInvoice({ amountMsat: moved, memo: 'back', expirySec: 60 });
  assert.equal((await node.payInvoice(back.bolt11, NO_FEE)).kind, 'succeeded');
  await eventually(
    () => readiness(gateway),
    ([status]) => status === 200,
  );
  await eventually(
    async () => (await fetch(`${gateway.url}/quote`)).status,
    (status) => status === 402,
  );
  assert.equal(
    (await fetch(`${gateway.url}/quote`, withCredential(await buy(gateway, '/quote')))).status,
    200,
  );
});

/** Pays until less than `floor` is left to receive. @returns how much that was */
async function moveAll(payer: Payer, node: LightningNode, floor: Msat): Promise<Msat> {
  const left = async (): Promise<number> => (await node.receivable?.())?.largestReceivableMsat ?? 0;
  let moved = 0;
  for (let room = await left(); room >= floor; room = await left()) {
    // Not all at once: the payer must also keep what a later change of fees may cost.
    const amountMsat = msat(Math.floor((room * 0.7) / 1_000) * 1_000);
    const invoice = await node.createInvoice({ amountMsat, memo: 'all of it', expirySec: 60 });
    const outcome = await payer.payInvoice(invoice.bolt11, NO_FEE);
    assert.equal(outcome.kind, 'succeeded', JSON.stringify(outcome));
    moved += amountMsat;
  }
  return msat(moved);
}

async function readiness({
  adminUrl,
}: TestGateway): Promise<readonly [status: number, code: string | undefined]> {
  const response = await fetch(`${adminUrl}/readyz`);
  const node = z.object({ code: z.string().optional() });
  const { parts } = z.object({ parts: z.object({ node }) }).parse(await response.json());
  return [response.status, parts.node.code];
}

function machineClock(): { readonly ms: number } {
  return {
    get ms() {
      return Date.now();
    },
  };
}

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
  const overGrpc = clientOf(merchant, 'admin', { grpcUrl: merchant.grpcUrl });
  await rejectsWith(overGrpc.createInvoice(REQUEST), 'not-ready');
  await locked.stop();
  await rejectsWith(overGrpc.createInvoice(REQUEST), 'unreachable');

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
  await overGrpc.createInvoice(REQUEST);
  await Promise.all([node.close(), overGrpc.close()]);
});

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { createLndWallet, createQrWallet, msat, NodeError, type NodeErrorCode } from '../../client/index.ts';
import { openSimulatedWallet } from '../../client/node.ts';
import { listen, NODE_MACAROON, startNode, type TestNode } from './support.ts';

const LIMITS = { maxFeeMsat: msat(1_000), timeoutMs: 5_000, context: { origin: '', macaroon: '' } };

let node: TestNode;
beforeEach(async () => {
  node = await startNode();
});
afterEach(() => node.close());

function failsWith(code: NodeErrorCode, words?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof NodeError, String(error));
    assert.equal(error.code, code, error.message);
    if (words !== undefined) assert.match(error.message, words);
    assert.ok(!error.message.includes(NODE_MACAROON));
    return true;
  };
}

describe('the LND wallet', () => {
  it('pays, within the fee limit that it passes on', async () => {
    node.feeMsat = 7;
    const { invoice, paymentHash } = node.newInvoice({ amountMsat: 2_000 });
    assert.deepEqual(await node.wallet.payInvoice(invoice, LIMITS), {
      kind: 'succeeded',
      preimage: node.preimageOf(paymentHash),
      amountMsat: 2_000,
      feeMsat: 7,
    });
    const sent = JSON.parse(node.requests[0]?.body ?? '');
    assert.deepEqual(sent, {
      payment_request: invoice,
      fee_limit_msat: '1000',
      timeout_seconds: 5,
      no_inflight_updates: true,
    });
  });

  it('reports failed and unfinished payments as what they are', async () => {
    const { invoice, paymentHash } = node.newInvoice({ amountMsat: 2_000 });
    node.mode = 'fail';
    const failed = { kind: 'failed', reason: 'no route within the fee limit' };
    assert.deepEqual(await node.wallet.payInvoice(invoice, LIMITS), failed);
    node.mode = 'lost';
    const soon = { ...LIMITS, timeoutMs: 30 };
    assert.deepEqual(await node.wallet.payInvoice(invoice, soon), { kind: 'in-flight' });
    node.setState(paymentHash, 'IN_FLIGHT');
    assert.deepEqual(await node.wallet.lookupPayment(paymentHash, LIMITS.context), { kind: 'in-flight' });
  });

  it('tells of an invoice that it paid before', async () => {
    const { invoice } = node.newInvoice({ amountMsat: 2_000 });
    const first = await node.wallet.payInvoice(invoice, LIMITS);
    assert.deepEqual(await node.wallet.payInvoice(invoice, LIMITS), first);
  });

  it('does not know a payment that was never tried', async () => {
    assert.equal(await node.wallet.lookupPayment('ab'.repeat(32), LIMITS.context), undefined);
  });

  it('gives balance, history and network', async () => {
    const { invoice, paymentHash } = node.newInvoice({ amountMsat: 2_000, memo: 'tea' });
    await node.wallet.payInvoice(invoice, LIMITS);
    assert.equal(await node.wallet.balanceMsat(), 7_500);
    assert.equal(await node.wallet.network?.(), 'regtest');
    const [payment] = await node.wallet.history(5);
    assert.deepEqual(
      [payment?.paymentHash, payment?.state, payment?.createdAtSec],
      [paymentHash, 'succeeded', 1_700_000_000],
    );
  });

  it('says what is wrong without the macaroon in it', async () => {
    const stranger = createLndWallet({ url: node.url, macaroon: 'ffff' });
    await assert.rejects(stranger.balanceMsat(), failsWith('unauthorized'));
    const noLnd = await listen((_request, response) => void response.end('<html>'));
    const lost = createLndWallet({ url: noLnd.url, macaroon: NODE_MACAROON });
    await assert.rejects(lost.balanceMsat(), failsWith('protocol'));
    await assert.rejects(lost.lookupPayment('ab'.repeat(32), LIMITS.context), failsWith('protocol'));
    await noLnd.close();
    await assert.rejects(lost.balanceMsat(), failsWith('unreachable'));
    const silent = await listen(() => undefined);
    const waiting = createLndWallet({ url: silent.url, macaroon: NODE_MACAROON, timeoutMs: 20 });
    await assert.rejects(waiting.balanceMsat(), failsWith('timeout'));
    await silent.close();
  });

  it('takes a 404 without the code of LND for a wrong address, not for a payment that never was', async () => {
    const other = await listen((_request, response) => {
      response.writeHead(404).end('{"message":"no such page"}');
    });
    const wallet = createLndWallet({ url: other.url, macaroon: NODE_MACAROON });
    await assert.rejects(wallet.lookupPayment('ab'.repeat(32), LIMITS.context), failsWith('rejected'));
    await other.close();
  });

  it('does not carry its macaroon along a redirect', async () => {
    const other = await listen((_request, response) => {
      response.writeHead(302, { location: `${node.url}/v1/balance/channels` }).end();
    });
    const wallet = createLndWallet({ url: other.url, macaroon: NODE_MACAROON });
    await assert.rejects(wallet.balanceMsat(), failsWith('unreachable'));
    assert.deepEqual(node.requests, []);
    await other.close();
  });
});

describe('the simulated wallet', () => {
  let dataDir: string;
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-simnet-'));
  });
  after(() => rm(dataDir, { recursive: true }));

  it('is found through simnet.json', async () => {
    await assert.rejects(openSimulatedWallet({ dataDir }), failsWith('not-ready', /npm start/));
    const file = join(dataDir, 'simnet.json');
    await writeFile(file, JSON.stringify({ url: node.url, wallets: { default: NODE_MACAROON } }));
    assert.equal(await (await openSimulatedWallet({ dataDir })).balanceMsat(), 7_500);
    await assert.rejects(openSimulatedWallet({ dataDir, name: 'nobody' }), failsWith('rejected', /nobody/));
    await writeFile(file, `{"wallets":{"default":"${NODE_MACAROON}"`);
    await assert.rejects(openSimulatedWallet({ dataDir }), failsWith('protocol'));
  });

  it('says that the invoice may be of another network when there is no route', async () => {
    const simnet = JSON.stringify({ url: node.url, wallets: { default: NODE_MACAROON } });
    await writeFile(join(dataDir, 'simnet.json'), simnet);
    const wallet = await openSimulatedWallet({ dataDir });
    const { invoice } = node.newInvoice({ amountMsat: 2_000 });
    node.mode = 'fail';
    const state = await wallet.payInvoice(invoice, LIMITS);
    assert.ok(state.kind === 'failed' && state.reason.includes(`than that of ${dataDir}`));
  });
});

describe('the QR wallet', () => {
  /** Answers in turn; records what was asked. */
  const openGateway = async (answers: readonly (object | number)[]) => {
    const asked: string[] = [];
    const gateway = await listen((request, response) => {
      const answer = answers[Math.min(asked.length, answers.length - 1)] ?? 500;
      asked.push(`${request.headers['l402-macaroon']} ${request.url}`);
      if (typeof answer === 'number') response.writeHead(answer).end();
      else response.end(JSON.stringify(answer));
    });
    const shown: string[] = [];
    const wallet = createQrWallet({
      show: (invoice, amountMsat) => {
        shown.push(`${invoice} ${amountMsat}`);
      },
      clock: { nowMs: Date.now, sleep: async () => undefined },
    });
    const context = { origin: gateway.url, macaroon: 'AgEE' };
    return { asked, shown, wallet, context, close: gateway.close };
  };

  it('shows the invoice and waits for the preimage, through an outage', async () => {
    const { invoice, paymentHash } = node.newInvoice({ amountMsat: 2_000 });
    const preimage = node.preimageOf(paymentHash);
    const open = { state: 'open' };
    const { wallet, context, asked, shown, close } = await openGateway([
      open,
      open,
      503,
      { state: 'settled', preimage },
    ]);
    const state = await wallet.payInvoice(invoice, { ...LIMITS, context });
    assert.deepEqual(state, { kind: 'succeeded', preimage, amountMsat: 0, feeMsat: 0 });
    assert.deepEqual(shown, [`${invoice} 2000`]);
    assert.equal(asked[0], `AgEE /.l402/invoices/${paymentHash}?wait=0`);
    assert.equal(asked[1], `AgEE /.l402/invoices/${paymentHash}?wait=5`);
    await close();
  });

  it('ends when the invoice does', async () => {
    const { invoice } = node.newInvoice({ amountMsat: 2_000 });
    const { wallet, context, close } = await openGateway([{ state: 'open' }, { state: 'expired' }]);
    const state = await wallet.payInvoice(invoice, { ...LIMITS, context });
    assert.deepEqual(state, { kind: 'failed', reason: 'the invoice expired unpaid' });
    await close();
  });

  it('shows nothing when the server does not report on its invoices', async () => {
    const { invoice } = node.newInvoice({ amountMsat: 2_000 });
    const { wallet, context, shown, close } = await openGateway([404]);
    await assert.rejects(wallet.payInvoice(invoice, { ...LIMITS, context }), failsWith('rejected'));
    assert.deepEqual(shown, []);
    assert.equal(await wallet.lookupPayment('ab'.repeat(32), context), undefined);
    await close();
  });
});

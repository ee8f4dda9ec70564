import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { msat } from '../../node/msat.ts';
import { nodeContract, take } from '../contract/node.contract.ts';
import { clientOf, openRealBench, openRealNetwork, type RealNetwork } from './bench.ts';

/*
 * The contract that the simulated node passes, on real LND.
 */

let network: RealNetwork;

before(async () => {
  network = await openRealNetwork();
});

after(() => network.close());

test('on a node that never settled anything, the feed from the beginning gets the first settlements', async () => {
  const [node, payer] = [clientOf(network.merchant, 'admin'), clientOf(network.customer, 'admin')];
  const waiting = take(node, 0, 2);
  const paid: string[] = [];
  for (let count = 0; count < 2; count += 1) {
    const invoice = await node.createInvoice({ amountMsat: msat(10_000), memo: 'first', expirySec: 60 });
    await payer.payInvoice(invoice.bolt11, { maxFeeMsat: msat(0), timeoutMs: 20_000 });
    paid.push(invoice.paymentHash);
  }
  const seen = await waiting;
  assert.deepEqual(
    seen.map(({ paymentHash, cursor }) => [paymentHash, cursor]),
    paid.map((hash, index) => [hash, index + 1]),
  );
  assert.deepEqual(await take(node, 0, 2), seen);
  await Promise.all([node.close(), payer.close()]);
});

nodeContract('LND client on real LND', () => openRealBench(network, 'rest'));
nodeContract('LND client on real LND, invoices over gRPC', () => openRealBench(network, 'grpc'));

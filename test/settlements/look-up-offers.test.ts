import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Offer } from '../../gateway/ledger/store.ts';
import { lookUpOffers } from '../../gateway/settlements/look-up-offers.ts';
import { msat } from '../../node/msat.ts';
import { NodeError, type NodeErrorCode } from '../../node/node.ts';

const PAID = 'ff'.repeat(32);

function offer(paymentHash: string): Offer {
  return {
    paymentHash,
    accountId: 'ac'.repeat(32),
    service: 'quote',
    amountMsat: msat(1_000),
    invoiceExpiresAtSec: 2_000_000_000,
    creditExpiresAtSec: 2_000_000_000,
  };
}

/** Thirty offers at which the node fails in a way, and a paid one behind them. */
async function lookUp(code: NodeErrorCode) {
  const hashes = Array.from({ length: 30 }, (_, at) => String(at + 10).repeat(32));
  const applied: string[] = [];
  const report = await lookUpOffers(
    {
      node: {
        lookupInvoice: async (paymentHash) => {
          if (paymentHash !== PAID) throw new NodeError(code, 'as the test wants it');
          return { kind: 'settled', preimage: 'ab'.repeat(32), paidMsat: msat(1_000), settledAtSec: 1 };
        },
      },
      ledger: {
        openOffers: async (after) => [...hashes, PAID].filter((each) => each > after).map(offer),
        dropOffer: () => assert.fail('none is dropped'),
      },
      apply: async ({ paymentHash }) => void applied.push(paymentHash),
      concurrency: 4,
      timeoutMs: 10_000,
    },
    new AbortController().signal,
  );
  return { report, applied };
}

test('answers that make no sense, however many, do not keep the others from being credited', async () => {
  const { report, applied } = await lookUp('protocol');
  assert.deepEqual(applied, [PAID]);
  assert.deepEqual(report, { settled: 1, dropped: 0, open: 0, unknown: 0, failed: 30 });
});

test('a node that is silent again and again is left alone until the next time', async () => {
  await assert.rejects(lookUp('timeout'), { code: 'timeout' });
});

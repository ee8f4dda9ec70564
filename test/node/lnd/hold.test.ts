import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HoldInvoices, HoldState } from '../../../node/node.ts';
import { rejectsWith } from '../../contract/node.contract.ts';
import {
  type Answer,
  base64,
  HASH,
  invoice,
  json,
  lines,
  NOW_SEC,
  PAID_HASH,
  PREIMAGE,
  REQUEST,
  settled,
  status,
  withNode,
} from './fake-lnd.ts';

const OPEN = { state: 'OPEN', creation_date: String(NOW_SEC), expiry: '600', amt_paid_msat: '0' };
const ACCEPTED = { ...OPEN, state: 'ACCEPTED', amt_paid_msat: '10000' };

describe('hold invoices', () => {
  test('are asked for with their hash, and with a description hash in place of the memo', async () => {
    let sent: unknown;
    const answer: Answer = (request, response, body) => {
      sent = JSON.parse(body);
      json(200, { payment_request: invoice({}) })(request, response, body);
    };
    await withHold(
      answer,
      async (hold, seen) => {
        const made = await hold.create({ ...REQUEST, paymentHash: HASH, descriptionHash: 'cd'.repeat(32) });
        assert.deepEqual([made.paymentHash, made.expiresAtSec], [HASH, NOW_SEC + 600]);
        assert.deepEqual(seen, ['POST /v2/invoices/hodl']);
      },
      { privateHints: true },
    );
    assert.deepEqual(sent, {
      memo: 'quote',
      value_msat: '10000',
      expiry: '600',
      description_hash: base64('cd'.repeat(32)),
      private: true,
      hash: base64(HASH),
    });
  });

  test('what is no hash and no preimage is never sent, and not repeated', async () => {
    await withHold(json(200, {}), async (hold, seen) => {
      const secret = 'A'.repeat(64);
      await assert.rejects(hold.settle(secret), (error: Error) => !error.message.includes(secret));
      await rejectsWith(hold.create({ ...REQUEST, paymentHash: 'ab' }), 'rejected');
      await rejectsWith(collect(hold, '../getinfo'), 'rejected');
      assert.deepEqual(seen, []);
    });
  });

  test('each state is told once, the last ends it', async () => {
    const stream = [OPEN, OPEN, ACCEPTED, settled({})].map((result) => ({ result }));
    await withHold(lines(...stream, { result: OPEN }), async (hold) => {
      const kinds = (await collect(hold, PAID_HASH)).map(({ kind }) => kind);
      assert.deepEqual(kinds, ['open', 'accepted', 'settled']);
    });
  });

  test('a subscription that ends early, breaks or lies is an error', async () => {
    const other = settled({ r_hash: base64(HASH) });
    await withHold(lines({ result: OPEN }), (hold) => rejectsWith(collect(hold, PAID_HASH), 'unreachable'));
    await withHold(lines({ result: other }), (hold) => rejectsWith(collect(hold, PAID_HASH), 'protocol'));
    await withHold(lines({ result: { state: 'ACCEPTED' } }), (hold) =>
      rejectsWith(collect(hold, PAID_HASH), 'protocol'),
    );
    await withHold(
      (_request, response) => void response.end('no JSON\n'),
      (hold) => rejectsWith(collect(hold, PAID_HASH), 'protocol'),
    );
    await withHold(lines({ error: { code: 2, message: 'permission denied' } }), (hold) =>
      rejectsWith(collect(hold, PAID_HASH), 'unauthorized'),
    );
  });

  test('refusals of LND are refusals', async () => {
    for (const text of ['invoice still open', 'invoice already canceled', 'unable to locate invoice']) {
      await withHold(status(2, text), (hold) => rejectsWith(hold.settle(PREIMAGE), 'rejected'));
    }
  });
});

async function withHold(
  answer: Answer,
  work: (hold: HoldInvoices, seen: string[]) => Promise<void>,
  options: { readonly privateHints?: boolean } = {},
): Promise<void> {
  await withNode(
    answer,
    async ({ hold }, seen) => {
      assert.ok(hold);
      await work(hold, seen);
    },
    options,
  );
}

async function collect(hold: HoldInvoices, paymentHash: string): Promise<HoldState[]> {
  const states: HoldState[] = [];
  for await (const state of hold.states(paymentHash, new AbortController().signal)) states.push(state);
  return states;
}

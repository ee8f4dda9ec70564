import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rejectsWith, take } from '../../contract/node.contract.ts';
import { type Answer, json, lines, PAID_HASH, PREIMAGE, settled, withNode } from './fake-lnd.ts';

/** Asks for no added invoice: LND would tell of each challenge once more. */
const NO_ADDED = 'add_index=9223372036854775806';

describe('the feed', () => {
  test('added invoices, AMP invoices and repeated settlements are passed over', async () => {
    const feed = lines(
      { result: { state: 'OPEN', memo: '"state": "SETTLED"' } },
      { result: settled({ settle_index: '6' }) },
      { result: settled({ settle_index: '6' }) },
      { result: { ...settled({ settle_index: '0', r_preimage: '' }), is_amp: true } },
      { result: settled({ settle_index: '7' }) },
    );
    await withNode(feed, async (node, seen) => {
      const taken = await take(node, 5, 2);
      assert.deepEqual(
        taken.map(({ cursor, paymentHash, preimage }) => [cursor, paymentHash, preimage]),
        [
          [6, PAID_HASH, PREIMAGE],
          [7, PAID_HASH, PREIMAGE],
        ],
      );
      assert.deepEqual(seen, [`GET /v1/invoices/subscribe?settle_index=5&${NO_ADDED}`]);
    });
  });

  test('a payment whose payer made its line too long does not stand before those behind it', async () => {
    const endless = { result: settled({ settle_index: '6', htlcs: 'x'.repeat(3 * 1024 * 1024) }) };
    const feed = lines(endless, endless, { result: settled({ settle_index: '7' }) });
    await withNode(feed, async (node) => {
      const [settlement] = await take(node, 5, 1);
      assert.equal(settlement?.cursor, 7);
    });
  });

  test('nor before a look-up of it, or a list that it is in', async () => {
    const long = settled({ creation_date: '1', expiry: '600', htlcs: 'x'.repeat(3 * 1024 * 1024) });
    const answer: Answer = (request, response, body) => {
      const limit = /num_max_invoices=(\d+)/.exec(request.url ?? '')?.[1];
      if (limit === undefined) return json(200, long)(request, response, body);
      const invoices = Array.from({ length: Math.min(Number(limit), 5) }, () => long);
      json(200, { invoices, first_index_offset: '1' })(request, response, body);
    };
    await withNode(answer, async (node, seen) => {
      assert.equal((await node.lookupInvoice(PAID_HASH))?.kind, 'settled');
      const page = await node.settledInvoices?.({ createdFromSec: 0, before: 0, limit: 250 });
      assert.equal(page?.invoices.length, 1);
      const limits = seen.flatMap((line) => /num_max_invoices=(\d+)/.exec(line)?.[1] ?? []);
      assert.deepEqual(limits, ['250', '62', '15', '3', '1']);
    });
  });

  test('an error in the stream, or its end, ends the feed with an error', async () => {
    const shutdown = lines({ error: { code: 14, message: 'server is shutting down', details: [] } });
    await withNode(shutdown, (node) => rejectsWith(take(node, 5, 1), 'not-ready'));
    await withNode(lines(), (node) => rejectsWith(take(node, 5, 1), 'unreachable'));
    const broken = lines({ result: { state: 'SETTLED', r_hash: 'x' } });
    await withNode(broken, (node) => rejectsWith(take(node, 5, 1), 'protocol'));
  });

  test('from the beginning: settlement 1 from the list, then what follows it', async () => {
    const one = settled({ settle_index: '1', add_index: '2' });
    const answer: Answer = (request, response, body) => {
      const url = request.url ?? '';
      if (url.startsWith('/v1/invoices/subscribe')) {
        lines({ result: settled({ settle_index: '2' }) })(request, response, body);
      } else if (url.includes('index_offset=0')) {
        const open = { state: 'OPEN', settle_index: '0' };
        json(200, { invoices: [open], last_index_offset: '1' })(request, response, body);
      } else json(200, { invoices: [one], last_index_offset: '2' })(request, response, body);
    };
    await withNode(answer, async (node, seen) => {
      const taken = await take(node, 0, 2);
      assert.deepEqual(
        taken.map((settlement) => settlement.cursor),
        [1, 2],
      );
      assert.equal(seen.at(-1), `GET /v1/invoices/subscribe?settle_index=1&${NO_ADDED}`);
    });
  });

  test('what settled between the list and the subscription is found by its first event', async () => {
    let lists = 0;
    const answer: Answer = (request, response, body) => {
      const url = request.url ?? '';
      if (url.includes('settle_index=0')) {
        // Stands after settlement 1 happened, so LND will never send it here; and never ends.
        response.write(`${JSON.stringify({ result: { state: 'OPEN' } })}\n`);
      } else if (url.startsWith('/v1/invoices/subscribe')) {
        lines({ result: settled({ settle_index: '2' }) })(request, response, body);
      } else {
        lists += 1;
        const page = url.includes('index_offset=0') && lists > 1 ? [settled({ settle_index: '1' })] : [];
        json(200, { invoices: page, last_index_offset: String(page.length) })(request, response, body);
      }
    };
    await withNode(answer, async (node) => {
      const taken = await take(node, 0, 2);
      assert.deepEqual(
        taken.map((settlement) => settlement.cursor),
        [1, 2],
      );
    });
  });
});
